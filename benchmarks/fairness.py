"""What a client feels of one at ten times its share, and callers of bulk: a batcher on ONNX Runtime, open-loop senders.

    .venv/bin/python -m benchmarks.fairness [--of clients|classes] [--rounds 3] [--seconds 5] [--pairs 20]

The batcher runs in a process of its own. Two lines of JSON.

Clients: each round measures the capacity in full batches, then sends alone, then with the other; `goodput_kept` is what
the quiet client had answered within its deadline, over what it had alone.

Classes: callers send all the time at half of the capacity; in every second window of two seconds another process sends
bulk that wants all of it. `p99_ratio` is the 99th percentile with bulk over that without, as callers see it, and
`p99_ratio_inside` from the arrival at the batcher; `noise` is the same ratio between two halves of the windows without
bulk, so what other programs on the machine make of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import uvloop
from headrace_servicekit.testing import free_port
from headrace_stack.components import s3
from headrace_stack.components.s3 import request
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.testing import held_stack

from benchmarks.peers.senders import FEATURES, Answered, Sender, Windows, bulk_process
from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import batcher_rig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.stores.servers import S3Store, home_for_tests

# About 20 ms on one core, whatever the rows.
MODEL = onnx_models.slow(100)
# Of the windows without and with bulk; what is due in the first part of one is not counted.
WINDOW_S = 2.0
SETTLE_S = 0.5
# Until the first window: a process starts.
START_S = 3.0


async def capacity(client: BatcherClient, digest: str) -> float:
    """Return rows per second in full batches."""
    loop = asyncio.get_running_loop()
    rows, begun = [np.ones((32, FEATURES), dtype=np.float32)], loop.time()
    answered = 0
    while loop.time() - begun < 1.0:
        answered += 32 * len(await client.infer_all(digest, [rows] * 4))
    return answered / (loop.time() - begun)


async def fairness(client: BatcherClient, digest: str, rounds: int, seconds: float) -> dict:
    """Return what a client at half of its share had with one at ten times its share and without."""
    capacities: list[int] = []
    loop = asyncio.get_running_loop()
    alone, beside, lost, noisy = 0, 0, Counter[str](), Counter[str]()
    for at in range(rounds):
        capacities.append(round(await capacity(client, digest)))
        share, deadline_s = capacities[-1] / 2, 10 * 32 / capacities[-1]
        quiet = Sender("quiet", 0.5 * share, deadline_s=deadline_s)
        await quiet.run(client, digest, loop.time() + seconds, at)
        alone += len(quiet.answered)
        quiet = Sender("quiet", 0.5 * share, deadline_s=deadline_s)
        other = Sender("noisy", 10 * share, rows=8, deadline_s=deadline_s)
        end = loop.time() + seconds
        await asyncio.gather(quiet.run(client, digest, end, at), other.run(client, digest, end, rounds + at))
        beside += len(quiet.answered)
        lost += quiet.failures
        noisy += Counter(other.failures) + Counter({"answered": len(other.answered)})
    return {
        "capacity_rows_per_s": capacities,
        "quiet_alone": alone,
        "quiet_with_noisy": beside,
        "goodput_kept": round(beside / alone, 3),
        "quiet_lost": dict(lost),
        "noisy": dict(noisy),
    }


async def classes(client: BatcherClient, digest: str, pairs: int, bulk_share: float) -> dict:
    """Return the latencies of callers, at half of the capacity, in windows with bulk and in windows without."""
    rows_per_s = await capacity(client, digest)
    loop = asyncio.get_running_loop()
    windows = Windows(loop.time() + START_S, WINDOW_S, pairs)
    bulk = await bulk_process(client.target, digest, bulk_share * rows_per_s, windows)
    callers = Sender("callers", 0.5 * rows_per_s)
    await callers.run(client, digest, windows.end, 1)
    printed, _ = await bulk.communicate()
    sent = json.loads(printed)
    alone, beside = ([[] for _ in range(pairs)] for _ in (False, True))
    for one in callers.answered:
        pair, with_bulk, into_s = windows.of(one.due)
        if pair >= 0 and into_s >= SETTLE_S:
            (beside if with_bulk else alone)[pair].append(one)
    return {
        "capacity_rows_per_s": round(rows_per_s),
        "callers": len(callers.answered),
        "callers_lost": dict(callers.failures),
        "p50_ms": _median_ms(alone, 50),
        "p99_ms": _median_ms(alone, 99),
        "with_bulk_p50_ms": _median_ms(beside, 50),
        "with_bulk_p99_ms": _median_ms(beside, 99),
        "p50_ratio": _ratio(alone, beside, 50),
        "p99_ratio": _ratio(alone, beside, 99),
        "p99_ratio_inside": _ratio(alone, beside, 99, "inside_s"),
        "noise": _ratio(alone[:-1], alone[1:], 99),
        "bulk_rows_per_s": round(sent["rows"] / pairs / WINDOW_S),
        "bulk_lost": sent["failures"],
    }


def _median_ms(windows: Sequence[Sequence[Answered]], at: float) -> float:
    """Return the median over the windows of a percentile of the latencies in each, in milliseconds."""
    return round(float(np.median([_percentile(window, at, "took_s") for window in windows])) * 1e3, 2)


def _ratio(
    alone: Sequence[Sequence[Answered]], beside: Sequence[Sequence[Answered]], at: float, what: str = "took_s"
) -> float:
    """Return the median over the pairs of windows of a percentile beside over that alone."""
    pairs = zip(alone, beside, strict=True)
    return round(float(np.median([_percentile(b, at, what) / _percentile(a, at, what) for a, b in pairs])), 3)


def _percentile(window: Sequence[Answered], at: float, what: str) -> float:
    return float(np.percentile([getattr(one, what) for one in window], at))


@asynccontextmanager
async def serving(settings: StackSettings) -> AsyncIterator[tuple[BatcherClient, str]]:
    """Run a batcher with a bucket and a directory of its own; yields a client and the digest of its version."""
    keys = s3.keys(settings)
    bucket = f"bench-{uuid.uuid4().hex}"
    await request("PUT", settings.ports.s3, f"/{bucket}", keys=keys)
    store = S3Store(s3.endpoint(settings), keys.access_key, keys.secret_key, bucket)
    launch = checkout_of_this_file() / "deploy" / "triton" / "launch"
    with tempfile.TemporaryDirectory() as folder:
        async with batcher_rig(store, Path(folder), "onnxruntime", launch) as rig:
            version = await rig.version("slow", MODEL)
            rig.want(version)
            port = free_port()
            async with process_of(rig, Path(folder) / "log", port=port, onnxruntime_threads=1):
                await until_listening(port)
                async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
                    await client.until_ready(version.digest)
                    yield client, version.digest
    await request("DELETE", settings.ports.s3, f"/{bucket}", keys=keys, timeout_s=30)


async def run(settings: StackSettings, given: argparse.Namespace) -> None:
    """Measure and print."""
    async with serving(settings) as (client, digest):
        if given.of != "classes":
            seen = await fairness(client, digest, given.rounds, given.seconds)
            print(json.dumps({"of": "clients", **seen}), flush=True)
        if given.of != "clients":
            seen = await classes(client, digest, given.pairs, given.bulk)
            print(json.dumps({"of": "classes", **seen}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=("both", "clients", "classes"), default="both")
    parser.add_argument("--rounds", type=int, default=3, help="of clients")
    parser.add_argument("--seconds", type=float, default=5.0, help="a client sends alone, and beside the other")
    parser.add_argument("--pairs", type=int, default=20, help="of windows without and with bulk")
    parser.add_argument("--bulk", type=float, default=1.0, help="rows of bulk a second, of the capacity")
    given = parser.parse_args()
    with (
        held_stack(home_for_tests("s3"), only=[s3.NAME]) as settings,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(settings, given))


if __name__ == "__main__":
    main()
