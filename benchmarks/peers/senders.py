"""Clients of a batcher that send at random times, whatever becomes of their requests; one of bulk as a process.

The process sends BATCH requests in every second window of a schedule, counted from a time of the machine's monotonic
clock, so that the same callers have windows with bulk beside them and windows without. It runs at the lowest priority
of the machine: what it costs to send bulk is not what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import uvloop
from headrace.batcher.v1 import batcher_pb2

from tests.kit.batcher.stream_client import BatcherClient

FEATURES = 4
FRAME_REQUESTS = 128
# Frames gather for as long as those of a data plane with a busy batcher: a frame for each request would measure frames.
GATHER_S = 0.001
ONLINE = batcher_pb2.InferRequest.PRIORITY_ONLINE
BULK = batcher_pb2.InferRequest.PRIORITY_BATCH
BULK_ROWS = 8


@dataclass(frozen=True, slots=True)
class Answered:
    """One request answered in time. due: when it was to be sent. inside_s: from its arrival at the batcher."""

    due: float
    took_s: float
    inside_s: float


@dataclass(frozen=True, slots=True)
class Windows:
    """A schedule of alternating windows without and with something. start: monotonic seconds."""

    start: float
    window_s: float
    pairs: int

    @property
    def end(self) -> float:
        """Return when the last window ends."""
        return self.start + 2 * self.pairs * self.window_s

    def of(self, at: float) -> tuple[int, bool, float]:
        """Return the pair that a time is in, whether in the window with, and how far into that window."""
        number, into = divmod(at - self.start, self.window_s)
        return int(number) // 2, bool(int(number) % 2), into


@dataclass(slots=True)
class Sender:
    """A client and what it saw."""

    name: str
    rows_per_s: float
    rows: int = 1
    deadline_s: float = 1.0
    priority: batcher_pb2.InferRequest.Priority = ONLINE
    sent: int = 0
    answered: list[Answered] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    async def run(self, client: BatcherClient, digest: str, until: float, seed: int) -> None:
        """Send until then, on the event loop's clock, and await all answers."""
        rng, loop = random.Random(seed), asyncio.get_running_loop()
        inputs = [np.ones((self.rows, FEATURES), dtype=np.float32).tobytes()]
        per_s = self.rows_per_s / self.rows
        due = loop.time() + rng.expovariate(per_s)
        waiting: set[asyncio.Future[batcher_pb2.InferResponse]] = set()
        while due < until:
            await asyncio.sleep(max(GATHER_S, due - loop.time()))
            frame = []
            while due <= loop.time() and len(frame) < FRAME_REQUESTS:
                one, answer = client.request(
                    digest,
                    inputs,
                    rows=self.rows,
                    client=self.name,
                    priority=self.priority,
                    deadline_us=int(self.deadline_s * 1e6),
                )
                answer.add_done_callback(lambda answer, due=due: self._take(answer, due, loop.time() - due))
                waiting.add(answer)
                answer.add_done_callback(waiting.discard)
                frame.append(one)
                due += rng.expovariate(per_s)
            self.sent += len(frame)
            await client.send(frame)
        await asyncio.gather(*waiting)

    def _take(self, answer: asyncio.Future[batcher_pb2.InferResponse], due: float, took_s: float) -> None:
        if answer.cancelled():
            return
        response = answer.result()
        if response.code:
            self.failures[response.reason] += 1
        elif took_s <= self.deadline_s:
            self.answered.append(Answered(due, took_s, (response.queue_us + response.compute_us) * 1e-6))
        else:
            self.failures["late"] += 1


async def bulk_process(target: str, digest: str, rows_per_s: float, windows: Windows) -> asyncio.subprocess.Process:
    """Start a process that sends bulk in every second window, and prints at its end what became of it."""
    given = (target, digest, str(rows_per_s), str(windows.start), str(windows.window_s), str(windows.pairs))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.peers.senders", *given, stdout=asyncio.subprocess.PIPE
    )


async def _send_bulk(target: str, digest: str, rows_per_s: float, windows: Windows) -> None:
    """Send, and print the rows answered and what was refused."""
    loop = asyncio.get_running_loop()
    rows, failures = 0, Counter[str]()
    async with BatcherClient.connected(target) as client:
        await client.until_ready(digest)
        for pair in range(windows.pairs):
            begin = windows.start + (2 * pair + 1) * windows.window_s
            await asyncio.sleep(begin - loop.time())
            # What still waits when the window ends is not to reach far into the next one.
            sender = Sender("scorer", rows_per_s, BULK_ROWS, deadline_s=windows.window_s / 8, priority=BULK)
            await sender.run(client, digest, begin + windows.window_s, pair)
            rows += BULK_ROWS * len(sender.answered)
            failures += sender.failures
    print(json.dumps({"rows": rows, "failures": failures}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("digest")
    parser.add_argument("rows_per_s", type=float)
    parser.add_argument("start", type=float)
    parser.add_argument("window_s", type=float)
    parser.add_argument("pairs", type=int)
    given = parser.parse_args()
    os.nice(19)
    uvloop.run(
        _send_bulk(given.target, given.digest, given.rows_per_s, Windows(given.start, given.window_s, given.pairs))
    )


if __name__ == "__main__":
    main()
