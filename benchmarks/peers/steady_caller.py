"""Calls one version of a batcher at a steady pace until its input is closed, then prints how long each answer took.

    .venv/bin/python -m benchmarks.peers.steady_caller 127.0.0.1:PORT DIGEST PER_SECOND

A part of loading_neighbours, in a process of its own so that nothing but the batcher makes it wait.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import numpy as np
import uvloop
from headrace_runtime.thread_priority import go_first
from headrace_servicekit.errors import Code

from tests.kit.batcher.stream_client import BatcherClient

FEATURES = 64


@dataclass(slots=True)
class Answers:
    """When each request was due, in seconds of the monotonic clock, how long after its answer came, how many failed."""

    due: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failed: int = 0


async def call(client: BatcherClient, digest: str, per_second: float, seen: Answers) -> None:
    """Send one row at a time, whatever became of the ones before."""
    row = np.ones((1, FEATURES), dtype=np.float32)

    async def ask(due: float) -> None:
        answer = await client.infer(digest, [row])
        seen.failed += answer.code != Code.OK
        seen.due.append(due)
        seen.took_s.append(time.monotonic() - due)

    async with asyncio.TaskGroup() as tasks:
        due = time.monotonic()
        while True:
            due += 1.0 / per_second
            await asyncio.sleep(due - time.monotonic())
            tasks.create_task(ask(time.monotonic()))


async def main(target: str, digest: str, per_second: float) -> None:
    go_first()  # it stands for another machine
    seen = Answers()
    async with BatcherClient.connected(target) as client:
        await client.until_ready(digest)
        calling = asyncio.create_task(call(client, digest, per_second, seen))
        await asyncio.to_thread(sys.stdin.read)
        calling.cancel()
        await asyncio.wait({calling})
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
