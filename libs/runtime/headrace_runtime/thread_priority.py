"""Who of this machine's threads runs first: those that answer callers, before those that load models.

Linux gives every thread a turn of some milliseconds (its slice), and lets one that wakes with a shorter slice interrupt
one with a longer (since 6.12; kernels before keep only the niceness). Both need no privilege, and both are inherited by
the threads and processes that a thread starts.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# A tenth of what the other threads of this process get when there is not enough for all.
_STEP = 10
_SHORT_TURN_NS, _LONG_TURN_NS = 200_000, 100_000_000
# How long a thread of Python may keep the interpreter from the one that answers callers; Python's default is 5 ms.
_INTERPRETER_TURN_S = 0.000_2
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


def go_first() -> None:
    """Give the calling thread short turns, and all that it starts from now on: Triton and the models in it too."""
    sys.setswitchinterval(_INTERPRETER_TURN_S)
    _set(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), _SHORT_TURN_NS)


def give_way() -> None:
    """Give the calling thread, and no other, a lower priority than its process has, and have it give way at once."""
    niceness = min(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + _STEP, 19)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    _set(niceness, _LONG_TURN_NS)


def take_long_turns() -> None:
    """Have the calling thread be interrupted by all that callers wait for."""
    _set(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), _LONG_TURN_NS)


class Background:
    """Runs what callers must not feel, such as hashing files, one after the other in a thread that gives way."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="background", initializer=give_way)

    async def __aenter__(self) -> Background:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))


def _set(niceness: int, turn_ns: int) -> None:
    """Ask for a slice; a kernel or a sandbox that refuses leaves things as they are."""
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is not None:
        attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, niceness, 0, turn_ns, 0, 0)
        ctypes.CDLL(None).syscall(number, threading.get_native_id(), attributes, 0)
