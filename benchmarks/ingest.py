"""Predictions that one monitor takes on one core, and what each costs it until it is in the log.

`python -m benchmarks.ingest [SECONDS]`. Bar: 50,000 predictions a second. A monitor on a core of its own, over stores
of its own; one row of 16 floats each, batches of 4,096. Acknowledged predictions are durable. The rate is that of
ingestion; the cost includes compaction, during and after it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from headrace.telemetry.v1 import telemetry_pb2, telemetry_pb2_grpc
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import postgres, s3
from headrace_stack.testing import held_stack

from benchmarks.measures import processes
from tests.kit.models.onnx_models import linear
from tests.kit.monitor.predictions import batch, report
from tests.kit.monitor.process import monitor_environment, monitor_process
from tests.kit.registry.service import memory_registry
from tests.kit.stores.servers import S3Store, home_for_tests

PREDICTIONS, FEATURES, CLASSES = 4096, 16, 2
UNDERWAY = 4
# Everything else, the stores and the sender, shares the other one.
MONITOR_CORE, OTHER_CORE = 0, 1
DRAIN_S = 120.0


async def main(seconds: float) -> None:
    async with AsyncExitStack() as stack:
        settings = stack.enter_context(held_stack(home_for_tests("ingest"), only=[postgres.NAME, s3.NAME]))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = await stack.enter_async_context(memory_registry())
        await registry.register("digits", "v1", linear(FEATURES, CLASSES))
        name = f"ingest_{uuid.uuid4().hex}"
        administrator = await asyncpg.connect(postgres.url(settings, "postgres"))
        await administrator.execute(f'create database "{name}"')
        keys = s3.keys(settings)
        store = S3Store(s3.endpoint(settings), keys.access_key, keys.secret_key, name.replace("_", "-"))
        url = postgres.url(settings, name)
        environment = monitor_environment(url, store, folder, registry=registry.target, log_compact_every_s=1)
        monitor, channel = await stack.enter_async_context(monitor_process(environment, free_port()))
        _confine(monitor.pid, MONITOR_CORE)
        database = await asyncpg.connect(url)
        stub: Any = telemetry_pb2_grpc.TelemetrySinkServiceStub(channel)
        await _send(stub, 1.0)  # what is imported at the first batch
        before_s, began = processes.cpu_s(monitor.pid), time.perf_counter()
        taken = await _send(stub, seconds)
        took = time.perf_counter() - began
        taking_s = processes.cpu_s(monitor.pid) - before_s
        print(f"{taken:,} predictions in {took:.1f} s: {taken / took:,.0f}/s, {taking_s / took:.0%} of a core")
        await eventually(lambda: _compacted(database), within=DRAIN_S, every=0.5)
        cost_us = 1e6 * (processes.cpu_s(monitor.pid) - before_s) / taken
        lag_s = time.perf_counter() - began - took
        print(f"in the log {lag_s:.1f} s later; {cost_us:.1f} us each in all: {1e6 / cost_us:,.0f}/s for ever")
        print(f"memory {processes.usage({'monitor': [monitor.pid]})['monitor'].memory_bytes / 1e6:.0f} MB")
        await database.close()
        await administrator.execute(f'drop database "{name}" with (force)')
        await administrator.close()


async def _send(stub: Any, seconds: float) -> int:
    """Send batches of a new process for a time; return how many predictions were acknowledged."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(PREDICTIONS, FEATURES)).astype(np.float32)
    request = report(_batch(features, rng), uuid.uuid4(), 1)
    numbers = iter(range(1, sys.maxsize))
    end = time.perf_counter() + seconds

    async def sender() -> int:
        sent = 0
        while time.perf_counter() < end:
            message = telemetry_pb2.ReportPredictionsRequest()
            message.CopyFrom(request)
            message.sequence = next(numbers)
            await stub.ReportPredictions(message, timeout=30)
            sent += PREDICTIONS
        return sent

    return sum(await asyncio.gather(*(sender() for _ in range(UNDERWAY))))


def _batch(features: np.ndarray, rng: np.random.Generator) -> telemetry_pb2.PredictionBatch:
    return batch(
        {"features": features},
        {"scores": rng.random((PREDICTIONS, CLASSES)).astype(np.float32)},
        request_id=[uuid.uuid4().hex for _ in range(PREDICTIONS)],
        unit=[f"user-{number}" for number in range(PREDICTIONS)],
        total_us=rng.integers(100, 9000, PREDICTIONS).tolist(),
    )


async def _compacted(database: asyncpg.Connection) -> bool:
    return await database.fetchval("select count(*) from log_batches where compact_time is null") == 0


def _confine(pid: int, core: int) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


if __name__ == "__main__":
    set_up_logs("benchmark", level="warning")
    _confine(os.getpid(), OTHER_CORE)
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
