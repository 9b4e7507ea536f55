"""Counts what our code does for a request: Python calls and bytecodes, which unlike times are the same on any machine.

with counting() as cost:
    ... have requests answered ...
cost.calls, cost.bytecodes
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import headrace_router
import headrace_servicekit

_SERVICEKIT = str(Path(headrace_servicekit.__file__).parent)
_COUNTED = (str(Path(headrace_router.__file__).parent), _SERVICEKIT)
# The wire is left out, for how often that is called depends on how TCP cuts what is sent; so is what tests alone use.
_LEFT_OUT = (f"{_SERVICEKIT}/http2", f"{_SERVICEKIT}/testing")


class Cost:
    """calls: of functions, and resumptions of coroutines. by_function: bytecodes by module and qualified name."""

    def __init__(self) -> None:
        self.calls = 0
        self.by_function: Counter[str] = Counter()

    @property
    def bytecodes(self) -> int:
        """Return how many bytecodes were executed."""
        return self.by_function.total()


@contextlib.contextmanager
def counting() -> Iterator[Cost]:
    """Count what runs in this thread until the block ends."""
    cost, counted = Cost(), {}

    def call(frame: FrameType, _event: str, _argument: object) -> Any:
        code = frame.f_code
        name = counted.get(code)
        if name is None:
            file = code.co_filename
            ours = file.startswith(_COUNTED) and not file.startswith(_LEFT_OUT)
            name = counted[code] = f"{Path(file).stem}:{code.co_qualname}" if ours else ""
        if not name:
            return None
        cost.calls += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def bytecode(_frame: FrameType, event: str, _argument: object) -> Any:
            if event == "opcode":
                cost.by_function[name] += 1
            return bytecode

        return bytecode

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield cost
    finally:
        sys.settrace(before)
