"""Predictions with their truths, told to a monitor, and what it makes of them."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
from headrace.monitor.v1 import monitor_pb2, outcome_pb2
from headrace.tensor.v1 import tensor_pb2

from tests.kit.models.onnx_models import linear
from tests.kit.monitor.log_files import prediction_ids, records

# Settings of a monitor that judges at once.
QUICK: dict[str, Any] = {"outcomes_every_s": 0.1, "performance_every_s": 0.1, "log_settle_s": 0.0, "log_delay_s": 60.0}
NAMES = ("cat", "dog")
MODEL = linear(outputs=2)
CONTRACT = tensor_pb2.ServingContract(
    inputs=[
        tensor_pb2.TensorSpec(
            name="features",
            datatype="FP32",
            shape=[4],
            kind=tensor_pb2.TensorSpec.KIND_CATEGORICAL,
            columns=["country", "city", "plan", "device"],
        )
    ],
    outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[2])],
    labels=NAMES,
    task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
)


class Drawn:
    """Predictions of two classes with their truths, drawn so that scores mean what they say."""

    def __init__(self, seed: int, rows: int, start: datetime, *, every: timedelta = timedelta(seconds=1)) -> None:
        rng = np.random.default_rng(seed)
        self.times = [start + every * number for number in range(rows)]
        self.ids = prediction_ids(self.times, random.Random(seed))
        self.score = rng.beta(0.7, 0.7, rows)
        self.truth = (rng.random(rows) < self.score).astype(int)
        self.guess = (self.score >= 0.5).astype(int)
        self.right = self.truth == self.guess

    def table(self, version: str, **columns: Any) -> Any:
        """Return records of the log, answered by a version."""
        return records(
            *("m", version, self.ids, self.times),
            prediction_label=[NAMES[one] for one in self.guess],
            prediction_value=np.maximum(self.score, 1 - self.score),
            prediction_score=self.score,
            **columns,
        )

    def labels(self, which: Any = slice(None), truth: Any = None) -> list[outcome_pb2.Outcome]:
        """Return what was true of these, unless it is said."""
        told = self.truth if truth is None else truth
        return [
            outcome_pb2.Outcome(prediction_id=one, kind="label", text=NAMES[label])
            for one, label in zip(self.ids[which], told[which], strict=True)
        ]


async def tell(monitor: Any, outcomes: Sequence[outcome_pb2.Outcome]) -> None:
    """Record outcomes, all of which are taken."""
    for first in range(0, len(outcomes), 5000):
        request = outcome_pb2.RecordOutcomesRequest(parent="models/m", outcomes=outcomes[first : first + 5000])
        answer = await monitor.outcomes.RecordOutcomes(request, timeout=30)
        assert not answer.rejections


async def performance(
    monitor: Any, start: datetime, end: datetime, **fields: Any
) -> dict[tuple[str, str], monitor_pb2.Performance]:
    """Return how good predictions of a time were, by version and slice."""
    request = monitor_pb2.GetPerformanceRequest(parent="models/m", **fields)
    request.range.start_time.FromDatetime(start)
    request.range.end_time.FromDatetime(end)
    answer = await monitor.stub.GetPerformance(request, timeout=30)
    return {(one.version, one.slice): one for one in answer.performance}


def measured(of: monitor_pb2.Performance) -> dict[str, Any]:
    """Return measures by name."""
    return {measure.name: measure for measure in of.measures}


def hours_ago(hours: float) -> datetime:
    """Return the beginning of an hour in the past."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


async def error_rate_changes(monitor: Any) -> dict[str, tuple[float, int]]:
    """Return the largest rise that alert rules were told of, and its labels, by version, once every label was taken."""
    connection = await asyncpg.connect(monitor.url)
    waiting = await connection.fetchval("select count(*) from outcome_arrivals")
    seen = await connection.fetch(
        "select version, max(value) as value, sum(rows) as rows from observations"
        " where signal = 'error_rate_change' group by version"
    )
    await connection.close()
    assert not waiting
    return {row["version"]: (row["value"], row["rows"]) for row in seen}
