"""`python -m benchmarks.pipelines`: an ensemble of three models beside the three models asked by a client in parallel.

Rows: one call to a pipeline of three classifiers and their mean, run step by step; the same fused into one ONNX graph;
three calls at once whose answers the client averages. CPU per answer is that of all processes of the stack but the
client. Nothing is answered from a cache. The stack is started when it is not up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client
from headrace_client.errors import AlreadyExists

from benchmarks.measures.figures import percentile
from benchmarks.measures.processes import families, usage
from benchmarks.systems.stack import Stack, running_stack
from tests.kit import onnx_models

MODELS = tuple(f"bench-pipeline-{number}" for number in (1, 2, 3))
STEPWISE, FUSED = "bench-pipeline", "bench-pipeline-fused"
ROW = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
# What the default gates ask for.
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
WARM_UP_S = 1.0

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    in_flight: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def pipeline_file(folder: Path, *, fuse: bool) -> Path:
    """Write the pipeline of the three models and their mean."""
    steps = "".join(
        f"  m{at}:\n    model: {model}@v1\n    inputs: {{features: request.features}}\n"
        for at, model in enumerate(MODELS)
    )
    inputs = ", ".join(f"m{at}: m{at}.scores" for at in range(len(MODELS)))
    text = f"{'fuse: true' if fuse else ''}\nsteps:\n{steps}  mean:\n    combine: mean\n    inputs: {{{inputs}}}\n"
    file = folder / "pipeline.yaml"
    file.write_text(f"{text}outputs:\n  scores: mean.output\n")
    return file


def registered(stack: Stack) -> None:
    """Have the models and both pipelines serve."""
    with Client(f"127.0.0.1:{stack.port}", token=stack.token) as client, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for at, model in enumerate(MODELS):
            (folder / "model.onnx").write_bytes(onnx_models.linear(seed=at).content)
            _serve(client, model, folder / "model.onnx")
        _serve(client, STEPWISE, pipeline_file(folder, fuse=False))
        _serve(client, FUSED, pipeline_file(folder, fuse=True))


def _serve(client: Client, name: str, file: Path) -> None:
    with contextlib.suppress(AlreadyExists):
        client.register_version(name, "v1", file, metrics=METRICS)
    client.await_epoch(name, client.promote(name, "v1").model.epoch, timeout=90)


def request_of(model: str) -> predict_pb2.PredictRequest:
    """Return a request for one row, which accepts no stored answer."""
    inputs: Any = [{"name": "features", "datatype": "FP32", "shape": [1, 4]}]
    made = predict_pb2.PredictRequest(model=model, inputs=inputs, raw_input_contents=[ROW.tobytes()])
    made.max_age.SetInParent()
    return made


def asking(stub: Any, metadata: Any) -> dict[str, Ask]:
    """Return how each row asks."""

    def one(model: str) -> Ask:
        asked = request_of(model)
        return lambda: stub.Predict(asked, timeout=10, metadata=metadata)

    members = [one(model) for model in MODELS]

    async def by_the_client() -> object:
        answers: list[predict_pb2.PredictResponse] = await asyncio.gather(*(ask() for ask in members))  # type: ignore[arg-type]
        return np.mean([np.frombuffer(answer.raw_output_contents[0], np.float32) for answer in answers], axis=0)

    return {"pipeline": one(STEPWISE), "pipeline, fused": one(FUSED), "three calls of the client": by_the_client}


async def measured(name: str, ask: Ask, in_flight: int, seconds: float, stack: Stack) -> Row:
    """Ask so many at a time for so long."""
    latencies: list[float] = []

    async def keep_asking(until: float) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            await ask()
            latencies.append(time.perf_counter() - began)

    async def load(seconds: float) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(keep_asking(began + seconds) for _ in range(in_flight)))
        return time.perf_counter() - began

    await load(WARM_UP_S)
    latencies.clear()
    processes = families(stack.processes)
    before = sum(one.cpu_s for one in usage(processes).values())
    took_s = await load(seconds)
    cpu_s = sum(one.cpu_s for one in usage(processes).values()) - before
    ordered = sorted(latencies)
    return Row(
        name,
        in_flight,
        len(ordered) / took_s,
        percentile(ordered, 0.5) * 1000,
        percentile(ordered, 0.99) * 1000,
        cpu_s * 1e6 / len(ordered),
    )


async def run(options: argparse.Namespace, stack: Stack) -> None:
    """Measure every row and print it."""
    metadata = (("authorization", f"Bearer {stack.token()}"),)
    print(f"{'':28} {'in flight':>9} {'answers/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs per answer':>18}")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stack.port}") as channel:
        for in_flight in options.in_flight:
            for name, ask in asking(predict_pb2_grpc.RouterServiceStub(channel), metadata).items():
                row = await measured(name, ask, in_flight, options.seconds, stack)
                print(
                    f"{row.name:28} {row.in_flight:>9} {row.per_s:>10.0f} {row.p50_ms:>8.2f} {row.p99_ms:>8.2f} "
                    f"{row.cpu_us:>18.0f}",
                    flush=True,
                )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 64, 256])
    options = parser.parse_args()
    stack = running_stack()
    registered(stack)
    uvloop.run(run(options, stack))


if __name__ == "__main__":
    main()
