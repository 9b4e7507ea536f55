"""A memory bound for a block of code, for libraries that allocate more than their own limits."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")


@contextmanager
def at_most_more(size_bytes: int) -> Iterator[None]:
    """Limit the memory that the process allocates in the block to `size_bytes` more; the kernel refuses more.

    The limit counts all threads of the process.
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
