"""What this process hides of itself while it has code of strangers run: its memory, and its token.

The process that runs it has the same user. It gets a namespace of its own where the kernel gives one
(`confinement.py`); this holds where there is none, and for what it may start.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "HEADRACE_TOKEN"
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
# Of /proc/self/stat, behind the name: where the environment lies that the process was started with.
_ENVIRONMENT_AT = 47

_lock = threading.Lock()
_kept: dict[str, str] = {}
_blocks = _dumpable = 0


@contextmanager
def hidden() -> Iterator[None]:
    """Until the block ends, hide this process's memory from the user's other processes, and remove tokens from its
    environment."""
    if sys.platform != "linux":  # where no such code is run
        yield
        return
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _blocks, _dumpable
    with _lock:
        _blocks += 1
        if _blocks > 1:
            return
        if TOKEN in os.environ:
            _kept[TOKEN] = os.environ.pop(TOKEN)
            _erase(TOKEN.encode())
        libc = ctypes.CDLL(None)
        _dumpable = libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _leave() -> None:
    global _blocks
    with _lock:
        _blocks -= 1
        if _blocks == 0:
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(_dumpable == 1), 0, 0, 0)
            os.environ.update(_kept)
            _kept.clear()


def _erase(name: bytes) -> None:
    """Overwrite a value where the process was given it, which the kernel shows whatever is set since."""
    try:
        given = Path("/proc/self/environ").read_bytes()
        start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ENVIRONMENT_AT])
    except OSError:  # not even this process sees it
        return
    at = (b"\0" + given).find(b"\0" + name + b"=")
    if start and at >= 0:
        value = at + len(name) + 1
        ctypes.memset(start + value, 0, given.index(b"\0", value) - value)
