"""For programs that read what strangers sent: limits that end the process before it takes anybody with it."""

from __future__ import annotations

import os
import resource


def confine(memory_bytes: int, cpu_s: int, *, file_bytes: int = 0) -> None:
    """Limit this process for good, and step back behind the others. file_bytes: the largest file it may write."""
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    os.nice(10)


def first_line(error: Exception) -> str:
    """Return what a library says is wrong, as far as it is worth passing on."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[0][:300]
