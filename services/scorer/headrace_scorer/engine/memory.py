"""A bound on the memory of a part of a process, for libraries that allocate past bounds of their own."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")


@contextmanager
def at_most_more(size_bytes: int) -> Iterator[None]:
    """Let the process allocate no more than so many bytes beyond what it has; the system refuses more.

    It is one bound for all threads of the process.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _allocated_bytes() + size_bytes
    limit = min((limit, *(one for one in (soft, hard) if one != resource.RLIM_INFINITY)))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _allocated_bytes() -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} does not say what the process has allocated")
