"""Planning processes: one for each job, read to the end, and stopped when the caller leaves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from headrace_scaling import documents
from headrace_servicekit.errors import InvalidArgument, ResourceExhausted, Unavailable

from headrace_autoscaler.planning.jobs import Answer, Job

_WORKER = "headrace_autoscaler.planning.worker"
# A course of 10,000 points is a line of two megabytes.
_LONGEST_LINE = 16 << 20


class Planner:
    """Runs at most `most` jobs at a time; each uses one core at low priority."""

    def __init__(self, most: int) -> None:
        self._most, self._running = most, 0

    async def answers(self, job: Job) -> AsyncIterator[Answer]:
        """Yield the answers to a job. Raises ResourceExhausted, reason TOO_MANY_SIMULATIONS."""
        if self._running >= self._most:
            raise ResourceExhausted(
                f"{self._running} simulations are running, and no more may: try again",
                reason="TOO_MANY_SIMULATIONS",
                retry_after_s=5.0,
            )
        self._running += 1
        try:
            async with _process() as process:
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(documents.to_json(job).encode() + b"\n")
                    await process.stdin.drain()
                    process.stdin.close()
                while line := await process.stdout.readline():
                    answer = documents.from_json(Answer, line)
                    if answer.failure is not None:
                        raise InvalidArgument(answer.failure)
                    yield answer
                if await process.wait():
                    raise Unavailable(
                        "the simulation was ended before it was done: it used more time or memory than it may",
                        reason="SIMULATION_ENDED",
                    )
        finally:
            self._running -= 1


@contextlib.asynccontextmanager
async def _process() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", _WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"TZ": "UTC", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
        limit=_LONGEST_LINE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
