"""`python -m headrace_scorer.engine.estimate`: a job on stdin, what scoring a sample of it took on stdout."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.backends.backend import BackendLost, LoadError

from headrace_scorer.engine.expressions import WrongExpression
from headrace_scorer.engine.inputs.rows import Unreadable
from headrace_scorer.engine.messages import EstimateAnswer, EstimateOrder, from_json
from headrace_scorer.engine.objects import InputChanged, StoreAway, StoreRefuses
from headrace_scorer.engine.pool.members import PoolAway
from headrace_scorer.engine.protocol import begin, say
from headrace_scorer.engine.shard_scorer import Columns, Sampled, ShardScorer

# What a sample may take; one that is shorter says less.
SAMPLE_S = 4.0


def main() -> None:
    """Answer one order."""
    began = time.perf_counter()
    begin()
    order = from_json(EstimateOrder, sys.stdin.buffer.readline())
    try:
        say(_sampled(order, began))
    except StoreAway as error:
        say(EstimateAnswer(failure="STORE_UNAVAILABLE", reason=str(error), transient=True))
    except PoolAway as error:
        say(EstimateAnswer(failure="POOL_UNAVAILABLE", reason=str(error), transient=True))
    except (ArtifactError, BackendLost, LoadError) as error:
        say(EstimateAnswer(failure="MODEL_FAILED", reason=str(error)))
    except (InputChanged, StoreRefuses, Unreadable) as error:
        say(EstimateAnswer(failure="INPUT_UNREADABLE", reason=str(error)))
    except WrongExpression as error:
        say(EstimateAnswer(failure="EXPRESSION_FAILED", reason=str(error)))
    except OSError as error:
        message = f"{error.strerror or error}: give the scorer's work folder (SCORER_WORK_DIR) more room"
        say(EstimateAnswer(failure="DISK_FULL", reason=message, transient=True))


def _sampled(order: EstimateOrder, began: float) -> EstimateAnswer:
    checked = order.checked
    Path(order.folder).mkdir(parents=True, exist_ok=True)
    scorer = ShardScorer(
        order.work, Columns(checked.tensors, checked.read, dict(checked.types)), Path(order.folder)
    )  # fmt: skip
    scorer.load()
    load_s = time.perf_counter() - began
    batch_rows = order.batch_rows or scorer.measured(order.shards[0])
    parts, left_s = list[Sampled](), SAMPLE_S
    for shard in order.shards:
        parts.append(scorer.sampled(shard, batch_rows, left_s))
        left_s -= parts[-1].wall_s
        if left_s <= 0:
            break
    return EstimateAnswer(
        rows=sum(one.rows for one in parts),
        wall_s=sum(one.wall_s for one in parts),
        cpu_s=sum(one.cpu_s for one in parts),
        load_s=load_s,
        read_bytes=sum(one.read_bytes for one in parts),
        batch_rows=batch_rows,
    )


if __name__ == "__main__":
    main()
