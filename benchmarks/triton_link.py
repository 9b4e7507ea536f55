"""What one call of Triton costs by a Unix socket and by TCP on loopback, in turn on the same machine.

    .venv/bin/python -m benchmarks.triton_link [--rows 1] [--calls 400] [--rounds 21]

Two Tritons with one model, one call at a time as a batcher makes it. Prints medians over the rounds: of a round's
median latency, of the CPU of this process and of tritonserver per call; and the socket's as a share of TCP's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import psutil
import uvloop
from headrace_batcher.triton_link import options_of, target_in
from headrace_runtime.backends.backend import BackendLost, ModelFiles
from headrace_runtime.backends.server_links import triton
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.contract import from_proto
from headrace_runtime.shapes import FIXED, layout_of
from headrace_servicekit.testing import eventually, free_port

from benchmarks.checkout import ROOT
from tests.kit.models.onnx_models import linear

FEATURES, NAME = 64, "m--v1"


@asynccontextmanager
async def running(target: str, folder: Path) -> AsyncIterator[tuple[TritonBackend, psutil.Process]]:
    """Run a Triton with the model."""
    model = linear(FEATURES, 1)
    (folder / "model.onnx").write_bytes(model.content)
    async with triton(target, folder / "models", silent_s=1.25) as backend:
        options = f"--model-repository={folder / 'models'}", *options_of(target), "--allow-metrics=false"
        process = await asyncio.create_subprocess_exec(ROOT / "deploy" / "triton" / "launch", *options)

        async def up() -> bool:
            try:
                return await backend.ready()
            except BackendLost:
                return False

        try:
            await eventually(up, within=60)
            await backend.load(ModelFiles(NAME, folder / "model.onnx", from_proto(model.contract), 4096))
            yield backend, psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.wait()


async def one_round(backend: TritonBackend, process: psutil.Process, rows: int, calls: int) -> tuple[float, ...]:
    """Return median latency, own CPU and that of Triton, in microseconds per call."""
    layout, data = layout_of(from_proto(linear(FEATURES, 1).contract), FIXED), bytes(4 * FEATURES * rows)
    latencies, began, there = [], time.process_time(), sum(process.cpu_times()[:2])
    for _ in range(calls):
        sent = time.perf_counter()
        await backend.infer(NAME, layout, rows, [data])
        latencies.append(time.perf_counter() - sent)
    spent = time.process_time() - began, sum(process.cpu_times()[:2]) - there
    return tuple(1e6 * value for value in (statistics.median(latencies), spent[0] / calls, spent[1] / calls))


async def measure(rows: int, calls: int, rounds: int) -> None:
    """Measure both in turn; print one line of JSON each."""
    async with AsyncExitStack() as stack:
        made: dict[str, tuple[TritonBackend, psutil.Process]] = {}
        for kind in ("tcp", "unix"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            target = target_in(folder) if kind == "unix" else f"127.0.0.1:{free_port()}"
            made[kind] = await stack.enter_async_context(running(target, folder))
            await one_round(*made[kind], rows, calls)
        found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in made}
        for number in range(rounds):
            for kind in sorted(made, reverse=bool(number % 2)):
                found[kind].append(await one_round(*made[kind], rows, calls))
    medians = {kind: np.median(values, axis=0) for kind, values in found.items()}
    names = ("p50_us", "own_cpu_us", "triton_cpu_us")
    for kind, values in (*medians.items(), ("unix/tcp", medians["unix"] / medians["tcp"])):
        print(json.dumps({"over": kind, "rows": rows, **dict(zip(names, np.round(values, 2).tolist(), strict=True))}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(given.rows, given.calls, given.rounds))
