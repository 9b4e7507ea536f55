"""Python runs this first in each model's process: starting one must not hold up the models that already answer.

It lies in the site-packages of Triton's environment: the Python backend's stub looks at no PYTHONPATH. Imports keep a
core busy for tenths of a second. With a long turn (Linux: a scheduling slice) the process is interrupted
by every thread with a shorter one that wakes: Triton's, and models that answer. A model takes short turns itself once
it is loaded (`backend/model.py`). A niceness would do less, and only root can take it back.
"""

import ctypes
import os
import struct

_LONG_TURN_NS = 100_000_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(os.uname().machine)

# `launch.py` sets it for what Triton starts; Triton itself, which Python becomes, must not have long turns.
if _SCHED_SETATTR is not None and "HEADRACE_MODEL_PROCESS" in os.environ:
    _turn = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, _LONG_TURN_NS, 0, 0)
    ctypes.CDLL(None).syscall(_SCHED_SETATTR, 0, _turn, 0)
