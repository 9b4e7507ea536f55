"""Processes of the engine: started with an order, heard line by line, ended with all that they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, TypeVar

from headrace_scorer.engine.messages import LONGEST_LINE, from_json, to_json

T = TypeVar("T")

PLANNING = "headrace_scorer.engine.plan"
DRIVING = "headrace_scorer.engine.run"
ESTIMATING = "headrace_scorer.engine.estimate"
# What an error of a process's own may say in our log.
_TAIL_BYTES = 4000


class ProcessLost(Exception):
    """A process ended before it had said how. wrote: the end of what it wrote, for our log and for no caller."""

    def __init__(self, how: str, wrote: str = "") -> None:
        super().__init__(how)
        self.wrote = wrote


async def answers(module: str, order: object, kind: type[T], environment: Mapping[str, str]) -> AsyncGenerator[T]:
    """Yield the answers of a process to an order. Raises ProcessLost.

    Its process group is killed in every case, also when the generator is closed early.
    """
    with TemporaryFile() as errors:
        async with _process(module, environment, errors) as (process, output):
            with contextlib.suppress(BrokenPipeError):
                await asyncio.to_thread(_write, process, to_json(order))
            while line := await output.readline():
                yield from_json(kind, line)
            code = await asyncio.to_thread(process.wait)
            if code:
                raise ProcessLost(f"exit code {code}", _tail(errors))


def _write(process: subprocess.Popen[bytes], order: bytes) -> None:
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(order)


def _tail(errors: IO[bytes]) -> str:
    """Return the end of what a process wrote for people."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL_BYTES))
    return errors.read().decode(errors="replace").strip()


def _start(module: str, environment: Mapping[str, str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start it, which takes a millisecond. Not by the event loop: see `headrace_servicekit.confined`."""
    return subprocess.Popen(
        (sys.executable, "-P", "-m", module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**environment, "SCORER_PID": str(os.getpid())},
        start_new_session=True,
    )


@asynccontextmanager
async def _process(
    module: str, environment: Mapping[str, str], errors: IO[bytes]
) -> AsyncIterator[tuple[subprocess.Popen[bytes], asyncio.StreamReader]]:
    process = _start(module, environment, errors)
    assert process.stdout is not None
    output = asyncio.StreamReader(limit=LONGEST_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), process.stdout
    )
    try:
        yield process, output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        transport.close()
        await asyncio.shield(asyncio.to_thread(process.wait))
