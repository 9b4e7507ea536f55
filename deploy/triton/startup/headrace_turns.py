"""Who runs first when a model's process and the models that already answer want the same core.

A thread with a long turn (Linux: a scheduling slice; 6.12 and later) is interrupted by every thread that wakes with a
shorter one, Triton's and those of models that answer, instead of first finishing one of some milliseconds. It needs no
privilege, and can be taken back. A thread may also take a higher niceness, which only root can take back: for threads
that do one thing and end. A kernel or a sandbox that refuses leaves things as they are.

The batcher has the same in `headrace_runtime/thread_priority.py`: neither environment can import from the other.
"""

import ctypes
import os
import struct
import threading

# A tenth of what the other threads of this process get when there is not enough for all.
_STEP = 10
_SHORT_TURN_NS, _LONG_TURN_NS = 200_000, 100_000_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}


def take_short_turns():
    """Have the calling thread interrupt those that load or try something out: a caller waits for it."""
    _set(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), _SHORT_TURN_NS)


def take_long_turns():
    """Have the calling thread be interrupted by all that callers wait for."""
    _set(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), _LONG_TURN_NS)


def give_way():
    """Give the calling thread, and no other, a lower priority than its process has, for good, and long turns."""
    niceness = min(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + _STEP, 19)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
    _set(niceness, _LONG_TURN_NS)


def _set(niceness, turn_ns):
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is not None:
        attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, niceness, 0, turn_ns, 0, 0)
        ctypes.CDLL(None).syscall(number, threading.get_native_id(), attributes, 0)
