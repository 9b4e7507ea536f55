"""`python -m headrace_scorer.engine.check`: an order on stdin, what a comparison of answers found on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from headrace_scorer.decisions import answer_drift, parity
from headrace_scorer.decisions.comparisons import Drifted, Parity
from headrace_scorer.engine.inputs.rows import Unreadable
from headrace_scorer.engine.messages import from_json
from headrace_scorer.engine.objects import InputChanged, Objects, StoreAway, StoreRefuses
from headrace_scorer.engine.protocol import Failed, begin, say
from headrace_scorer.engine.publish_orders import CheckAnswer, CheckOrder
from headrace_scorer.engine.replay import Unanswered, compared
from headrace_scorer.engine.router import channel
from headrace_scorer.engine.sample import Sample, samples


def main() -> None:
    """Answer one order."""
    begin()
    order = from_json(CheckOrder, sys.stdin.buffer.readline())
    try:
        say(checked(order, Objects(order.work.access)))
    except Failed as error:
        say(CheckAnswer(failure=error.failure, reason=str(error), transient=error.transient))
    except StoreAway as error:
        say(CheckAnswer(failure="STORE_UNAVAILABLE", reason=str(error), transient=True))
    except StoreRefuses as error:
        say(CheckAnswer(failure="STORE_REFUSES", reason=f"{error}: look at the bucket, and who may read it"))
    except Exception as error:  # a defect of ours must not be tried for ever
        say(CheckAnswer(failure="CHECK_FAILED", reason=f"{type(error).__name__}: {error}"))


def checked(order: CheckOrder, objects: Objects) -> CheckAnswer:
    """Compare a sample with online answers, and with the job before. Raises Failed, and what S3 raises."""
    try:
        looked = list(samples(order, objects))
    except (InputChanged, Unreadable) as error:
        return CheckAnswer(unanswered=f"the input of the job is no longer what it was ({error})")
    found, unanswered = _replayed(order, looked)
    together = _together(looked)
    drift: tuple[Drifted, ...] = ()
    if order.before is not None and order.spec.drift_tolerance != 0 and together:
        drift = answer_drift.drifted(order.before, together, order.spec.drift_tolerance)
    frozen = answer_drift.frozen(together, str(order.answered.job), order.answered.computed) if together else ""
    return CheckAnswer(found, unanswered, drift, frozen)


def _replayed(order: CheckOrder, looked: Sequence[Sample]) -> tuple[Parity | None, str]:
    if not order.spec.parity_rows:
        return None, "no sample was asked for"
    contract = order.work.serving_contract()
    try:
        with channel(order.peers.data, order.peers) as data:
            parts = [compared(order, contract, sample, data) for sample in looked if sample.entities]
    except Unanswered as error:
        return None, str(error)
    found = parity.merged(parts)
    return (found, "") if found.rows else (None, "the job has no row that could be replayed")


def _together(looked: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Return the outputs of all samples, those whose rows have one shape."""
    names = looked[0].outputs if looked else ()
    parts = {name: [sample.outputs[name] for sample in looked] for name in names}
    return {name: np.concatenate(some) for name, some in parts.items() if len({one.shape[1:] for one in some}) == 1}


if __name__ == "__main__":
    main()
