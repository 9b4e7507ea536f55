"""For programs that read what strangers sent: limits that end the process before it takes anybody with it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1


def confine(memory_bytes: int, cpu_s: int, *, file_bytes: int = 0, data_bytes: int | None = None) -> None:
    """Limit this process for good, and step back behind the others.

    memory_bytes: of address space, libraries included. file_bytes: the largest file it may write. data_bytes: memory
    that it may write to beyond what it has now, which is near to what it takes from its container; None is no bound.
    """
    if data_bytes is not None:
        most = _data_bytes() + data_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    os.nice(10)


def _data_bytes() -> int:
    """Return how much memory of its own this process has. Not measured by what is resident: pages come later."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def end_with_parent() -> None:
    """End this process when the thread that started it does: for what is started by a thread that lives on."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def first_line(error: Exception) -> str:
    """Return what a library says is wrong, as far as it is worth passing on."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[0][:300]
