"""`python -m benchmarks.pipelines`: an ensemble of three models beside the three models asked by a client in parallel.

Rows: one call to a pipeline of three classifiers and their mean, run step by step; the same fused into one ONNX graph;
three calls at once whose answers the client averages. Then the same members on Triton alone, without a front door,
tokens or records: its ensemble scheduler, a model of its Python backend that asks them (BLS), and three calls of the
client. CPU per answer is that of all processes of the system but the client. Nothing is answered from a cache, and
every answer is held against the mean. The stack is started when it is not up; what is not measured is idle meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client
from headrace_client.errors import AlreadyExists
from tritonclient.grpc import service_pb2_grpc

from benchmarks.checkout import BenchmarkError
from benchmarks.measures.figures import percentile
from benchmarks.measures.processes import families, usage
from benchmarks.systems.references import Reference
from benchmarks.systems.stack import Stack, running_stack
from benchmarks.systems.triton_pipelines import running as triton_pipelines
from tests.kit.models import onnx_models

MODELS = tuple(f"bench-pipeline-{number}" for number in (1, 2, 3))
STEPWISE, FUSED = "bench-pipeline", "bench-pipeline-fused"
ROW = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
# What the default gates ask for.
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
WARM_UP_S = 1.0

Ask = Callable[[], Awaitable[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    in_flight: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class System:
    """One that answers. processes: by name. asks: how, by the name of the row."""

    processes: Mapping[str, int]
    asks: Mapping[str, Ask]


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
        for model, member in _members().items():
            (folder / "model.onnx").write_bytes(member.content)
            _serve(client, model, folder / "model.onnx")
        _serve(client, STEPWISE, pipeline_file(folder, fuse=False))
        _serve(client, FUSED, pipeline_file(folder, fuse=True))


def _serve(client: Client, name: str, file: Path) -> None:
    with contextlib.suppress(AlreadyExists):
        client.versions.register(name, "v1", file, metrics=METRICS)
    client.routes.await_epoch(name, client.models.promote(name, "v1").model.epoch, timeout=90)


def request_of(model: str) -> predict_pb2.PredictRequest:
    """Return a request for one row, which accepts no stored answer."""
    inputs: Any = [{"name": "features", "datatype": "FP32", "shape": [1, 4]}]
    made = predict_pb2.PredictRequest(model=model, inputs=inputs, raw_input_contents=[ROW.tobytes()])
    made.max_age.SetInParent()
    return made


def headrace(stack: Stack, channel: grpc.aio.Channel) -> System:
    """Return the stack, and how each row asks it."""
    stub: Any = predict_pb2_grpc.RouterServiceStub(channel)
    metadata = (("authorization", f"Bearer {stack.token()}"),)

    def one(model: str) -> Ask:
        asked = request_of(model)

        async def ask() -> np.ndarray:
            return _scores(await stub.Predict(asked, timeout=10, metadata=metadata))

        return ask

    asks = {"pipeline": one(STEPWISE), "pipeline, fused": one(FUSED), "three calls of the client": _averaged(one)}
    return System(stack.processes, asks)


def triton(processes: Mapping[str, int], channel: grpc.aio.Channel) -> System:
    """Return Triton with the same members, and how each row asks it."""
    stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def one(model: str) -> Ask:
        asked = triton_pipelines.request_of(model, ROW)

        async def ask() -> np.ndarray:
            return _scores(await stub.ModelInfer(asked, timeout=10))

        return ask

    asks = {
        "Triton: ensemble scheduler": one(triton_pipelines.ENSEMBLE),
        "Triton: BLS": one(triton_pipelines.BLS),
        "Triton: three calls": _averaged(one),
    }
    return System(processes, asks)


def _scores(answer: Any) -> np.ndarray:
    return np.frombuffer(answer.raw_output_contents[0], np.float32)


def _averaged(one: Callable[[str], Ask]) -> Ask:
    """Return what asks the members at once and averages."""
    members = [one(model) for model in MODELS]

    async def ask() -> np.ndarray:
        return np.mean(await asyncio.gather(*(member() for member in members)), axis=0)

    return ask


async def measured(name: str, in_flight: int, seconds: float, system: System, expected: np.ndarray) -> Row:
    """Ask so many at a time for so long. Raises BenchmarkError for an answer that is not the mean."""
    ask, latencies = system.asks[name], list[float]()

    async def keep_asking(until: float) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            scores = await ask()
            latencies.append(time.perf_counter() - began)
            if not np.allclose(scores, expected, rtol=1e-4):
                raise BenchmarkError(f"{name} answered {scores}, not {expected}")

    async def load(seconds: float) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(keep_asking(began + seconds) for _ in range(in_flight)))
        return time.perf_counter() - began

    await load(WARM_UP_S)
    latencies.clear()
    processes = families(system.processes)
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


async def run(options: argparse.Namespace, stack: Stack, on_triton: Reference) -> None:
    """Measure every row and print it, the systems one after the other."""
    expected = np.mean([one.expected({"features": ROW})["scores"][0] for one in _members().values()], axis=0)
    print(f"{'':28} {'in flight':>9} {'answers/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs per answer':>18}")
    host, port = on_triton.address
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stack.port}") as ours,
        grpc.aio.insecure_channel(f"{host}:{port}") as theirs,
    ):
        for in_flight in options.in_flight:
            for system in (headrace(stack, ours), triton(on_triton.processes, theirs)):
                for name in system.asks:
                    row = await measured(name, in_flight, options.seconds, system, expected)
                    print(
                        f"{row.name:28} {row.in_flight:>9} {row.per_s:>10.0f} {row.p50_ms:>8.2f} {row.p99_ms:>8.2f} "
                        f"{row.cpu_us:>18.0f}",
                        flush=True,
                    )


def _members() -> dict[str, onnx_models.TinyModel]:
    return {model: onnx_models.linear(seed=at) for at, model in enumerate(MODELS)}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 64, 256])
    options = parser.parse_args()
    stack = running_stack()
    registered(stack)
    members = {name: member.content for name, member in _members().items()}
    with tempfile.TemporaryDirectory() as scratch, triton_pipelines.running(Path(scratch), members) as on_triton:
        uvloop.run(run(options, stack, on_triton))


if __name__ == "__main__":
    main()
