"""`python -m benchmarks.batch_pool`: what a scoring job on the batchers of callers takes, and what callers feel of it.

The stack is started when it is not up. Callers ask for one row each, at random, `--rate` a second on average, through
the front door; a job of the engine `pool` scores on the same batchers. In each round three windows follow each other:
callers alone, callers and job, job alone. Printed are

  p99       of callers beside the job, over what it is without it
  rows/s    of the job beside callers over what the batchers have left then: what the job has alone, less callers' rows
  processor what the job makes use of, of the time that the machine idles while callers are alone

Beside other programs neither says anything.

  python -m benchmarks.batch_pool
  python -m benchmarks.batch_pool --rate 20 --seconds 20 --rounds 5 --network small
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_client import Client, NotFound
from headrace_client.errors import AlreadyExists

from benchmarks.checkout import BenchmarkError
from benchmarks.systems.batch.records import BUCKET, NETWORKS, Network, Store, exported, store_of, written
from benchmarks.systems.stack import Stack, running_stack

# Rows of a shard, by which progress is counted.
GROUP_ROWS = 1000
ROWS = 2_000_000
ACCURATE = {"accuracy": 0.95, "latency_p99_ms": 2.0}
DEADLINE_S = 10.0
# Until a job that is resumed scores, and until one that is paused has stopped.
SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen in a window. took: seconds of each request of callers. rows_s: of the job. idle: of the machine."""

    took: tuple[float, ...]
    rows_s: float
    idle: float

    @property
    def p99_ms(self) -> float:
        return 1000 * float(np.percentile(self.took, 99))


class Job:
    """The job, and how far it is."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name

    def rows(self) -> int:
        """Return how many rows are done."""
        job = self._client.jobs.get(self.name)
        if job.state not in (pb.ScoringJob.STATE_QUEUED, pb.ScoringJob.STATE_PLANNING, pb.ScoringJob.STATE_RUNNING):
            raise BenchmarkError(f"{self.name} does not run any more: {job.reason}")
        return job.progress.rows_done

    def go_on(self) -> None:
        """Resume it, and return once rows are scored."""
        self._client.jobs.resume(self.name)
        began, until = self.rows(), time.monotonic() + SETTLE_S
        while self.rows() == began:
            if time.monotonic() > until:
                raise BenchmarkError(f"{self.name} scores nothing: {self._client.jobs.get(self.name).reason}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Pause it; its processes are gone a moment later."""
        self._client.jobs.pause(self.name)
        time.sleep(1.0)


async def window(stack: Stack, network: Network, model: str, rate: float, job: Job | None, seconds: float) -> Window:
    """Watch the machine for some seconds, with callers unless the rate is 0, and with a job that runs."""
    began, rows, idle = time.monotonic(), job.rows() if job is not None else 0, idle_s()
    took = await callers(stack, network, model, rate, seconds) if rate else []
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    lasted, done = time.monotonic() - began, job.rows() if job is not None else 0
    return Window(tuple(took), (done - rows) / lasted, (idle_s() - idle) / lasted / (os.cpu_count() or 1))


async def callers(stack: Stack, network: Network, model: str, rate: float, seconds: float) -> list[float]:
    """Send requests of one row at random times; return how long each took."""
    rng, loop, took = random.Random(7), asyncio.get_running_loop(), list[float]()
    values = np.random.default_rng(7).normal(size=(1000, network.layers[0])).astype(np.float32)
    metadata = (("authorization", f"Bearer {stack.token()}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.port}") as channel:
        stub: Any = predict_pb2_grpc.RouterServiceStub(channel)

        async def ask(at: int) -> None:
            request = predict_pb2.PredictRequest(model=model, raw_input_contents=[values[at % 1000].tobytes()])
            request.max_age.SetInParent()  # computed, never from the cache
            request.inputs.add(name="features", datatype="FP32", shape=[1, network.layers[0]])
            began = time.perf_counter()
            await stub.Predict(request, timeout=DEADLINE_S, metadata=metadata)
            took.append(time.perf_counter() - began)

        due = loop.time()
        async with asyncio.TaskGroup() as asking:
            for at in range(round(rate * seconds)):
                due += rng.expovariate(rate)
                await asyncio.sleep(max(0.0, due - loop.time()))
                asking.create_task(ask(at))
    return took


def idle_s() -> float:
    """Return the seconds for which the machine's processors had nothing to do, together."""
    told = Path("/proc/stat").read_text().splitlines()[0].split()
    return (int(told[4]) + int(told[5])) / os.sysconf("SC_CLK_TCK")


def served(network: Network, client: Client, folder: Path) -> str:
    """Return a model with the network in production, once it is answered."""
    file, model = folder / f"{network.name}.onnx", f"bench-pool-{network.name}"
    contract = exported(network, file)
    try:
        client.versions.register(model, "v1", file, contract=contract, metrics=ACCURATE)
    except AlreadyExists:
        pass
    try:
        present = client.models.get(model).production_version
    except NotFound:
        present = ""
    if not present:
        promoted = client.models.promote(model, "v1", reason="benchmark")
        client.routes.await_epoch(model, promoted.model.epoch, timeout=60)
    return model


def job_of(network: Network, model: str, store: Store, client: Client) -> Job:
    """Create the job, and pause it."""
    written(store, network, ROWS, group_rows=GROUP_ROWS)
    spec = pb.ScoringSpec(
        version="v1",
        input=pb.ScoringSpec.Input(uri=f"s3://{BUCKET}/bench-batch/{network.name}-{ROWS}-{GROUP_ROWS}"),
        tensors=[pb.ScoringSpec.TensorColumns(tensor="features", columns=network.features)],
        options=pb.ScoringOptions(engine=pb.ScoringOptions.ENGINE_POOL, shard_rows=GROUP_ROWS, workers=1),
    )
    job = Job(client, client.jobs.create(model, spec).name)
    job.stop()
    return job


async def run(
    options: argparse.Namespace, network: Network, stack: Stack, client: Client, model: str, job: Job
) -> None:
    """Run the rounds, and print what was found."""
    alone, beside, nobody = list[Window](), list[Window](), list[Window]()
    await callers(stack, network, model, options.rate, 3.0)  # warms everything up
    for round_ in range(options.rounds):
        alone.append(await window(stack, network, model, options.rate, None, options.seconds))
        await asyncio.to_thread(job.go_on)
        beside.append(await window(stack, network, model, options.rate, job, options.seconds))
        nobody.append(await window(stack, network, model, 0.0, job, options.seconds))
        await asyncio.to_thread(job.stop)
        print(
            f"round {round_ + 1}: p99 {alone[-1].p99_ms:.1f} ms alone, {beside[-1].p99_ms:.1f} ms beside the job;"
            f" job {beside[-1].rows_s:,.0f} rows/s beside callers, {nobody[-1].rows_s:,.0f} alone;"
            f" idle {alone[-1].idle:.0%} without it, {beside[-1].idle:.0%} beside, {nobody[-1].idle:.0%} alone",
            flush=True,
        )
    ratios = sorted(with_.p99_ms / without.p99_ms for with_, without in zip(beside, alone, strict=True))
    shares = [one.rows_s / (free.rows_s - options.rate) for one, free in zip(beside, nobody, strict=True)]
    used = [1 - one.idle / free.idle for one, free in zip(beside, alone, strict=True)]
    print(f"p99 beside the job over alone: {spread(ratios)} (bar 1.10)")
    print(f"rows of the job beside callers, of what they leave: {spread(shares)} (bar 0.80)")
    print(f"idle processor time that the job used: {spread(used)}")


def spread(values: Sequence[float]) -> str:
    """Return the median of some values, and their ends."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Measure on the stack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each window")
    parser.add_argument("--rate", type=float, default=40.0, help="requests of callers a second")
    parser.add_argument("--network", choices=[one.name for one in NETWORKS], default="large")
    options = parser.parse_args()
    stack = running_stack()
    store, network = store_of(stack), next(one for one in NETWORKS if one.name == options.network)
    with tempfile.TemporaryDirectory() as folder, Client(f"127.0.0.1:{stack.port}", token=stack.token) as client:
        model = served(network, client, Path(folder))
        job = job_of(network, model, store, client)
        try:
            uvloop.run(run(options, network, stack, client, model, job))
        finally:
            client.jobs.cancel(job.name)


if __name__ == "__main__":
    main()
