"""References, windows and drift evaluations on real stores, driven by tests step by step on a fake clock."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.drift.decisions.evaluation import Schedule
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.postgres import DriftTolerances, PostgresEvaluations
from headrace_monitor.judge.drift.scheduler import DriftMetrics, Scheduler
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references import reference_files
from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.freezer import Freeze, Freezer
from headrace_monitor.judge.references.log_rows import LogRows
from headrace_monitor.judge.references.rows_writer import RowsWriter
from headrace_monitor.judge.references.store import References
from headrace_monitor.judge.windows.deriver import Deriver, WindowMetrics
from headrace_monitor.judge.windows.postgres import PostgresWindows
from headrace_monitor.record.log.contracts import VersionContract, version_contract
from headrace_servicekit.errors import NotFound, Unavailable
from headrace_servicekit.testing import FakeClock
from prometheus_client import CollectorRegistry

from tests.kit.monitor.feature_log import FeatureLog

Spec = tensor_pb2.TensorSpec

HOUR = timedelta(hours=1)
START = datetime(2030, 1, 7, tzinfo=UTC)
COUNTRIES = ("de", "fr", "it", "at")


def contract() -> tensor_pb2.ServingContract:
    """Return the contract of a version that tells fraud from a number, a range, a country and an embedding."""
    return tensor_pb2.ServingContract(
        inputs=[
            Spec(name="person", datatype="FP32", shape=[2], columns=["age", "income"], kind=Spec.KIND_NUMERIC),
            Spec(name="share", datatype="FP32", minimum=0, maximum=1),
            Spec(name="country", datatype="BYTES", kind=Spec.KIND_CATEGORICAL),
            Spec(name="text", datatype="FP32", shape=[8], kind=Spec.KIND_EMBEDDING),
            Spec(name="secret", datatype="FP32", sensitive=True),
        ],
        outputs=[Spec(name="scores", datatype="FP32", shape=[2], columns=["good", "fraud"])],
        task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
    )


def features(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Return what requests and answers are like, by names as in the log, while nothing drifts."""
    fraud = rng.beta(1, 19, rows)
    return {
        "feature.person.age": rng.normal(40, 10, rows).astype(np.float32),
        "feature.person.income": rng.lognormal(10, 1, rows).astype(np.float32),
        "feature.share": rng.random(rows).astype(np.float32),
        "feature.country": rng.choice(COUNTRIES, rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object),
        "feature.text": rng.normal(size=(rows, 8)).astype(np.float32),
        "output.scores.good": (1 - fraud).astype(np.float32),
        "output.scores.fraud": fraud.astype(np.float32),
        "prediction_label": np.where(fraud > 0.2, "fraud", "good").astype(object),
        "prediction_value": np.maximum(fraud, 1 - fraud),
    }


def plain_name(name: str) -> str:
    """Return what somebody calls a column who never saw the log."""
    return name.removeprefix("feature.").removeprefix("output.").removeprefix("person.")


def parquet(columns: Mapping[str, Any]) -> bytes:
    """Return a Parquet file."""
    arrays = {name: pa.array(list(each) if np.ndim(each) > 1 else each) for name, each in columns.items()}
    content = io.BytesIO()
    pq.write_table(pa.table(arrays), content)
    return content.getvalue()


@dataclass
class Registered:
    """Versions and files as a registry has them; a ContractSource and Blobs at once. away: the files."""

    versions: dict[tuple[str, str], VersionContract] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    away: bool = False

    def add(self, model: str, version: str, reference: bytes | None = None) -> None:
        """Register a version, with a reference file or without."""
        message = registry_pb2.ModelVersion(name=f"models/{model}/versions/{version}", contract=contract())
        if reference is not None:
            sha256 = hashlib.sha256(reference).hexdigest()
            self.files[sha256] = reference
            message.artifacts.add(
                name="reference.parquet",
                type=registry_pb2.Artifact.TYPE_PARQUET,
                sha256=sha256,
                size_bytes=len(reference),
            )
        self.versions[model, version] = version_contract(model, version, message)

    async def get(self, model: str, version: str) -> VersionContract | None:
        return self.versions.get((model, version))

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        if self.away:
            raise Unavailable("the store is away")
        if sha256 not in self.files:
            raise NotFound("no such file")
        yield self.files[sha256]


class Replica:
    """One monitor's references, windows and evaluations. Several share a log, a clock and a registry."""

    def __init__(
        self,
        log: FeatureLog,
        registered: Registered,
        clock: FakeClock,
        *,
        freeze: Freeze | None = None,
        seconds: int = 3600,
    ) -> None:
        self.references = References(log.database)
        self.windows = PostgresWindows(log.database, lease=HOUR)
        self.evaluations = PostgresEvaluations(log.database)
        self.schedule = Schedule(seconds, timedelta(minutes=5), 0.05)
        rows = LogRows(log.reader)
        self.performance = PerformanceStore(log.database)
        self.freezer = Freezer(
            *(self.references, registered, registered, freeze or freeze_here, RowsWriter(rows)),
            *(self.performance.calibrate_first, clock),
        )
        metrics = WindowMetrics(CollectorRegistry())
        self.deriver = Deriver(self.windows, self.references, log.reader, seconds, clock, metrics)
        self.tolerances = DriftTolerances(log.database)
        self.evaluator = DriftEvaluator(self.windows, self.evaluations, self.tolerances, rows, clock)
        self.scheduler = Scheduler(
            *(self.evaluator, self.evaluations, self.windows, self.references, self.schedule, clock),
            DriftMetrics(CollectorRegistry()),
        )


async def freeze_here(
    file: Path, columns: Sequence[MonitoredColumn], promised: tensor_pb2.ServingContract
) -> bytes | str:
    """Freeze in this process: what tests write needs no limits, and a child takes a second."""
    return (await asyncio.to_thread(reference_files.answer_of, str(file), columns, promised)).encode()
