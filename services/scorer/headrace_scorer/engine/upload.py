"""`python -m headrace_scorer.engine.upload`: an order on stdin, how far the publish is on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from headrace.router.v1 import precomputed_pb2
from headrace_client.calls import Session
from headrace_client.chunks import Answers
from headrace_client.drivers import BlockingDriver
from headrace_client.errors import Aborted, HeadraceError, ResourceExhausted, Unavailable
from headrace_client.operations import precomputed
from headrace_client.tokens import TokenCache

from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.kept_answers import ENTITY, kept_file
from headrace_scorer.engine.messages import from_json
from headrace_scorer.engine.objects import InputChanged, Objects, OutputTaken, StoreAway, StoreRefuses
from headrace_scorer.engine.protocol import Failed, begin, say
from headrace_scorer.engine.publish_orders import UploadAnswer, UploadOrder
from headrace_scorer.engine.results import answers, batches, opened
from headrace_scorer.engine.router import channel

UPLOAD_S = 6 * 3600.0
# What a while mends.
_FULL = frozenset(("TOO_MANY_PUBLISHES", "TOO_MANY_PUBLISHES_OF_CLIENT"))


def main() -> None:
    """Answer one order."""
    begin()
    order = from_json(UploadOrder, sys.stdin.buffer.readline())
    say(_outcome(order))


def _outcome(order: UploadOrder) -> UploadAnswer:
    try:
        return uploaded(order, Objects(order.work.access))
    except Failed as error:
        return UploadAnswer(failure=error.failure, reason=str(error), transient=error.transient)
    except Aborted as error:
        # The router dropped the publish: it was aborted, or idle for too long. Start a new one.
        closed = error.reason == "PUBLISH_CLOSED"
        return UploadAnswer(failure=error.reason, reason=str(error), closed=closed, transient=closed)
    except HeadraceError as error:
        busy = isinstance(error, ResourceExhausted) and error.reason in _FULL
        transient = busy or isinstance(error, Unavailable)
        return UploadAnswer(failure=error.reason or "PUBLISH_FAILED", reason=str(error), transient=transient)
    except StoreAway as error:
        return UploadAnswer(failure="STORE_UNAVAILABLE", reason=str(error), transient=True)
    except StoreRefuses as error:
        return UploadAnswer(failure="STORE_REFUSES", reason=f"{error}: look at the bucket, and who may use it")
    except OSError as error:
        return UploadAnswer(failure="DISK_FULL", reason=f"{error}: make room in SCORER_WORK_DIR", transient=True)
    except (InputChanged, OutputTaken) as error:
        message = f"{error}: results must stay as they are until they are published"
        return UploadAnswer(failure="OUTPUT_CHANGED", reason=message)
    except Exception as error:  # a defect of ours must not be tried for ever
        return UploadAnswer(failure="PUBLISH_FAILED", reason=f"{type(error).__name__}: {error}")


def uploaded(order: UploadOrder, objects: Objects) -> UploadAnswer:
    """Publish results and report the progress. Raises Failed, HeadraceError, and what S3 raises."""
    names = [output.name for output in order.work.serving_contract().outputs]
    carried_over = kept_file(order, objects, names)
    kept_rows = opened(objects, carried_over).metadata.num_rows if carried_over is not None else 0
    total = sum(one.rows - one.rejected for one in order.answered.results) + kept_rows
    session, progress = Session(TokenCache(None)), Progress(total)
    origin = precomputed_pb2.PublishOrigin(
        run=order.run, manifest_digest=order.manifest_digest, version_digest=order.version_digest
    )

    def rows() -> Iterator[Answers]:
        return _rows(order, objects, names, carried_over)

    with channel(order.peers.control, order.peers) as control:
        driver = BlockingDriver(control)
        begun = driver.run(
            precomputed.begin_publish(
                session,
                order.model,
                version=order.version,
                row_count=total,
                computed_at=order.answered.computed,
                ttl=order.spec.ttl,
                request_id=order.request_id,
                origin=origin,
            )
        )
        say(UploadAnswer(publish=begun.name, rows=begun.row_count, total=total))
        done = driver.run(
            precomputed.continue_publish(session, begun, rows, total=total, progress=progress, timeout=UPLOAD_S)
        )
    return UploadAnswer(
        publish=begun.name,
        rows=total,
        total=total,
        done=True,
        entities=done.publish.entity_count,
        kept=kept_rows,
        kept_file=carried_over,
    )


class Progress:
    """Says how far an upload is, a hundred times in all."""

    def __init__(self, total: int) -> None:
        self._total, self._said = total, 0

    def __call__(self, rows: int, _total: int) -> None:
        if rows - self._said > self._total / 100:
            self._said = rows
            say(UploadAnswer(rows=rows, total=self._total))


def _rows(
    order: UploadOrder, objects: Objects, names: Sequence[str], carried_over: Location | None
) -> Iterator[Answers]:
    """Yield all rows to publish, in the same order on every call."""
    answered = order.answered
    for result in answered.results:
        at = Location(answered.bucket, result.key)
        for table in batches(objects, at, [answered.entity, *names]):
            yield from answers(table, answered.entity, names, at)
    if carried_over is not None:
        for table in batches(objects, carried_over, [ENTITY, *names]):
            yield from answers(table, ENTITY, names, carried_over)


if __name__ == "__main__":
    main()
