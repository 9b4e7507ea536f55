"""What `headrace models tune` finds in a tenth of the runs, beside every setting of its grid, on a real pool.

    .venv/bin/python -m benchmarks.tuning [--slo-p99-ms 100] [--seconds 2] [--rows 1 8 32 128] [--waits 0 2 10]

A matrix of `--features` squared on Triton: one row costs the reading of it, a row more only arithmetic, and the pool,
not who asks, is what is measured. First the search, with at most a tenth of the grid's runs; then each setting of the
grid once, in an order drawn by lot; then the best of the grid, the search's, and what a version has by default, three
times in turn: of many runs the best one looks better than it is. Prints one line of JSON each; the last is the share of
the grid's best that the search found, and of its runs. The stack is started when it is not up.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from headrace_client import Client
from headrace_client.errors import AlreadyExists
from headrace_forge.tuning import search
from headrace_forge.tuning.pool import MeasuredPool, rate
from headrace_forge.tuning.search import Grid, Run, Settings

from benchmarks.systems.stack import Stack, running_stack
from tests.kit.models import onnx_models

MODEL = "bench-tuning"
# What the default gates ask for.
METRICS = {"accuracy": 0.95, "latency_p99_ms": 2.0}
# Serving settings of a version that declares none.
DEFAULT = Settings(32, 5.0, 1)
TURNS = 3


def version_of(features: int) -> str:
    return f"v{features}"


def served(client: Client, features: int) -> MeasuredPool:
    """Have the model serve; return its pool."""
    version = version_of(features)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "model.onnx")
        file.write_bytes(onnx_models.linear(features, features).content)
        with contextlib.suppress(AlreadyExists):
            client.versions.register(MODEL, version, file, metrics=METRICS)
    client.routes.await_epoch(MODEL, client.models.promote(MODEL, version).model.epoch, timeout=90)
    (spec,) = client.versions.get(MODEL, version).contract.inputs
    rows = np.random.default_rng(0).normal(size=(256, *spec.shape)).astype(np.float32)
    return MeasuredPool(client, MODEL, version, {spec.name: rows})


def told(name: str, run: Run) -> None:
    settings = run.settings
    line = {"run": name, "rows": settings.max_batch_rows, "wait_ms": settings.max_wait_ms}
    line |= {"instances": settings.instances, "offered_per_s": round(run.offered_per_s)}
    print(json.dumps({**line, "in_time_per_s": round(run.goodput_per_s), "p99_ms": round(run.p99_ms, 1)}), flush=True)


def compare(pool: MeasuredPool, given: argparse.Namespace) -> None:
    """Print what each way finds, and how they compare."""
    grid, objective_s = Grid(given.rows, given.waits, given.instances), given.slo_p99_ms / 1000
    curve = pool.curve(grid)
    print(json.dumps({"execution_ms": {rows: round(seconds * 1000, 2) for rows, seconds in curve.points}}))
    per_s = rate(curve, grid, objective_s, given.max_rate)

    def measure(settings: Settings) -> Run:
        return pool.run(settings, per_s, given.seconds, objective_s)

    began = time.monotonic()
    found = search.search(curve, measure, objective_s, grid)
    took_s = time.monotonic() - began
    for run in found.runs:
        told("search", run)
    every = grid.every()
    random.Random(3).shuffle(every)
    runs = []
    for settings in every:
        runs.append(measure(settings))
        told("grid", runs[-1])
    best = max(runs, key=lambda one: one.goodput_per_s).settings
    ways = {"best of the grid": best, "search": found.best.settings, "default": DEFAULT}
    seen: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, settings in ways.items():
            seen[name].append(measure(settings))
    median = {name: statistics.median(run.goodput_per_s for run in again) for name, again in seen.items()}
    # Near to 1, the pool had less to do than it can, and every setting looks as good as the best.
    answered = statistics.median(run.goodput_per_s / run.offered_per_s for run in seen["best of the grid"])
    for name, again in seen.items():
        told(name, sorted(again, key=lambda one: one.goodput_per_s)[TURNS // 2])
    print(
        json.dumps(
            {
                "share_of_best": round(median["search"] / median["best of the grid"], 3),
                "share_of_runs": round(len(found.runs) / len(every), 3),
                "search_s": round(took_s),
                "share_of_offered_at_best": round(answered, 3),
                "default_share_of_best": round(median["default"] / median["best of the grid"], 3),
            }
        )
    )


def run(stack: Stack, given: argparse.Namespace) -> None:
    """Measure, and leave the model as it was."""
    with Client(f"127.0.0.1:{stack.port}", token=stack.token()) as client:
        pool = served(client, given.features)
        before = client.versions.get(MODEL, version_of(given.features)).serving
        try:
            compare(pool, given)
        finally:
            client.versions.update_serving(
                MODEL, version_of(given.features), before, reason="benchmarks.tuning: as before"
            )


def main() -> None:
    grid = Grid()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slo-p99-ms", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--max-rate", type=float, default=1000.0, help="most requests a second")
    parser.add_argument("--rows", type=int, nargs="+", default=list(grid.max_batch_rows))
    parser.add_argument("--waits", type=float, nargs="+", default=list(grid.max_wait_ms))
    parser.add_argument("--instances", type=int, nargs="+", default=list(grid.instances))
    parser.add_argument("--features", type=int, default=6000, help="of the model, how long an execution takes")
    run(running_stack(), parser.parse_args())


if __name__ == "__main__":
    main()
