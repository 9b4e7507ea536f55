"""Running a program that reads what strangers sent, with limits of its own (`confinement.py`), for its answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence


class AnswerTooLargeError(Exception):
    """The program says more than it may."""


async def run_confined(arguments: Sequence[str], *, timeout_s: float, max_answer_bytes: int) -> tuple[int, bytes]:
    """Run a module of ours (`-m`, its name, its arguments) and return its exit code and what it printed.

    Raises OSError when it cannot be started, TimeoutError, AnswerTooLargeError. Whatever happens, also when this is
    cancelled, nothing of its process group is left afterwards.
    """
    process = _start(arguments)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            output = await asyncio.to_thread(process.stdout.read, max_answer_bytes + 1)
            if len(output) > max_answer_bytes:
                raise AnswerTooLargeError(f"more than {max_answer_bytes} bytes")
            return await asyncio.to_thread(process.wait), output
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing of it is there any more
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)  # its memory is given back by then
        process.stdout.close()


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start it, which takes a millisecond. Raises OSError.

    Not by the event loop: uvloop forks, gRPC's fork handlers then start threads in the child, and at times these crash
    it before it has become the program. A good file would be refused for that.
    """
    return subprocess.Popen(
        (sys.executable, "-I", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # No secrets of ours, and one thread: each takes address space, which is limited.
        env={"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **_locale()},
        process_group=0,
    )


def _locale() -> dict[str, str]:
    """Return where the C library finds locales, where that was said: models that read texts need one."""
    return {"LOCPATH": found} if (found := os.environ.get("LOCPATH")) else {}
