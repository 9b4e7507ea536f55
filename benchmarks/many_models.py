"""Many models in memory for a few: what callers of hot models, and of those that have to be loaded, wait.

    .venv/bin/python -m benchmarks.many_models [--models 50] [--room 10] [--hot 3] [--seconds 20] [--warm-for-s 2]

A batcher with ONNX Runtime in a process of its own, models of 8 MiB from a real S3 store, memory for `room` of them.
One caller asks the hot models in turn, without a pause; another, ten times a second, a model at random. First all that
is asked for fits, then it does not. Prints one line of JSON a row; `told` is the share of the random requests that
were refused with MODEL_LOADING and a retry delay.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop
from headrace.router.v1 import control_pb2
from headrace_batcher.loading.memory import held_bytes
from headrace_servicekit.testing import eventually, free_port
from headrace_stack.components import s3
from headrace_stack.components.s3 import request
from headrace_stack.settings import StackSettings, checkout_of_this_file
from headrace_stack.testing import held_stack

from benchmarks.measures.figures import percentile
from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig, batcher_rig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.stores.servers import S3Store, home_for_tests

MIB = 1024 * 1024
FEATURES, OUTPUTS = 1024, 2048
FILES = 5
PAUSE_S = 0.1
DEADLINE_US = 5_000_000

Versions = list[control_pb2.ResolvedVersion]


@dataclass(slots=True)
class Asked:
    """What became of requests: how long answers took, and how many had none, by reason."""

    took_s: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    async def ask(self, client: BatcherClient, version: control_pb2.ResolvedVersion, row: np.ndarray) -> None:
        began = time.monotonic()
        answer = await client.infer(version.digest, [row], deadline_us=DEADLINE_US)
        if answer.code:
            self.refused[answer.reason] = self.refused.get(answer.reason, 0) + 1
        else:
            self.took_s.append(time.monotonic() - began)


async def asked(client: BatcherClient, hot: Versions, others: Versions, seconds: float) -> tuple[Asked, Asked]:
    """Ask hot models in turn and others at random for a while; return what became of each kind."""
    of_hot, of_others, rng = Asked(), Asked(), random.Random(7)
    row = np.zeros((1, FEATURES), np.float32)
    until = time.monotonic() + seconds

    async def in_turn() -> None:
        at = 0
        while time.monotonic() < until:
            await of_hot.ask(client, hot[at % len(hot)], row)
            at += 1

    async def at_random() -> None:
        while time.monotonic() < until:
            await of_others.ask(client, rng.choice(others), row)
            await asyncio.sleep(PAUSE_S)

    await asyncio.gather(in_turn(), at_random())
    return of_hot, of_others


def row_of(
    name: str, hot: Asked, others: Asked, seconds: float, used_mib: float, limit_mib: float
) -> dict[str, object]:
    told = others.refused.get("MODEL_LOADING", 0)
    return {
        "row": name,
        "hot_per_s": round(len(hot.took_s) / seconds),
        **{f"hot_p{at}_ms": round(percentile(sorted(hot.took_s), at / 100) * 1e3, 2) for at in (50, 99)},
        "others": len(others.took_s) + sum(others.refused.values()),
        **{f"others_p{at}_ms": round(percentile(sorted(others.took_s), at / 100) * 1e3, 2) for at in (50, 99)},
        "told": round(told / max(1, len(others.took_s) + sum(others.refused.values())), 3),
        "refused": hot.refused | others.refused,
        "used_mib": round(used_mib),
        "limit_mib": round(limit_mib),
    }


async def measure(rig: BatcherRig, versions: Versions, given: argparse.Namespace) -> None:
    """Print a row where all that is asked fits, and one where it does not."""
    log = rig.settings["state_dir"].parent / "log"
    hot, few = versions[: given.hot], versions[: given.room]
    port = free_port()
    rig.want(*few)
    async with process_of(rig, log, port=port) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(*(version.digest for version in few))
            await asyncio.sleep(2.0)
            limit = held_bytes(process.pid, None) + 16 * MIB  # what libraries count for changes with who else has them
            seen = await asked(client, hot, few[given.hot :], given.seconds)
            used = held_bytes(process.pid, None)
        process.terminate()
        await process.wait()
    print(json.dumps(row_of(f"{given.room} models, all fit", *seen, given.seconds, used / MIB, limit / MIB)))

    rig.want(*versions)
    bounds = {"memory_limit_bytes": limit, "warm_for_s": given.warm_for_s}
    async with process_of(rig, log, port=port, **bounds) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(*(version.digest for version in versions), within=300)
            await eventually(lambda: held_bytes(process.pid, None) <= limit, within=60)
            seen = await asked(client, hot, versions[given.hot :], given.seconds)
            used = held_bytes(process.pid, None)
        process.terminate()
        await process.wait()
    print(json.dumps(row_of(f"{given.models} models", *seen, given.seconds, used / MIB, limit / MIB)))


async def run(settings: StackSettings, given: argparse.Namespace) -> None:
    """Measure with a bucket and a directory of its own."""
    keys = s3.keys(settings)
    bucket = f"bench-{uuid.uuid4().hex}"
    await request("PUT", settings.ports.s3, f"/{bucket}", keys=keys)
    store = S3Store(s3.endpoint(settings), keys.access_key, keys.secret_key, bucket)
    launch = checkout_of_this_file() / "deploy" / "triton" / "launch"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rig = await stack.enter_async_context(batcher_rig(store, folder, "onnxruntime", launch))
        files = [onnx_models.linear(FEATURES, OUTPUTS, seed=seed) for seed in range(FILES)]
        versions = [await rig.version(f"m{at:03}", files[at % FILES]) for at in range(given.models)]
        await measure(rig, versions, given)
    await request("DELETE", settings.ports.s3, f"/{bucket}", keys=keys, timeout_s=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--room", type=int, default=10)
    parser.add_argument("--hot", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-for-s", type=float, default=2.0)
    given = parser.parse_args()
    with (
        held_stack(home_for_tests("s3"), only=[s3.NAME]) as settings,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(run(settings, given))


if __name__ == "__main__":
    main()
