"""Where the executions of one version are cheapest: through Triton, or in this process, on the event loop or a thread.

Through Triton an execution of a small model costs half a millisecond whatever its size. What takes long costs the same
everywhere, and is better where it disturbs no other version: in Triton.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from headrace_runtime.backends.backend import ModelFiles
from headrace_runtime.formats import Format

# An execution on the event loop keeps everything else waiting: beyond this it is cheaper to pass it to a thread.
INLINE_S = 0.0003
# In process it must take less than this share of what it takes through Triton: less is within what measuring shows.
CHEAPER = 0.9
# A largest batch that takes longer through Triton can not be that much cheaper, and would keep threads from others.
LONGEST_S = 0.01
# Executions that take too long, with fewer than `FORGIVEN_AFTER` short ones after each, until a version goes elsewhere.
TOO_MANY, FORGIVEN_AFTER = 2, 100
# One that takes longer is enough.
FORGIVABLE_S = 0.1
# What a version takes in memory it takes once more.
MAX_FILE_BYTES = 64 * 1024 * 1024


class Way(enum.StrEnum):
    """Where executions run."""

    BACKEND = "backend"
    THREAD = "thread"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a version is executed, and why."""

    way: Way
    reason: str


# By rows of a batch, the seconds that an execution takes.
Seconds = Mapping[int, float]


def sizes(max_rows: int) -> tuple[int, ...]:
    """Return the batch sizes that are measured."""
    return tuple(sorted({1, max_rows}))


def pinned(files: ModelFiles, file_bytes: int) -> str:
    """Return why a version is executed through Triton without measuring; empty where it may be elsewhere."""
    if files.kept_as is not Format.ONNX:
        return f"only versions of the format onnx run in process, not {files.kept_as.value}"
    if files.device:
        return f"its settings name a device, {files.device}"
    if files.instances > 1:
        return f"its settings ask for {files.instances} instances"
    if files.others:
        return "it has files beside its model"
    if file_bytes > MAX_FILE_BYTES:
        return f"its file has {file_bytes >> 20} MiB, and what runs in process has at most {MAX_FILE_BYTES >> 20}"
    return ""


def too_long(through_backend: Seconds) -> str:
    """Return why a version cannot be much cheaper in process; empty where it may be."""
    rows, seconds = max(through_backend.items())
    return f"{rows} rows take {_ms(seconds)}, wherever they are executed" if seconds > LONGEST_S else ""


def choose(through_backend: Seconds, in_thread: Seconds, computing: Seconds, *, anyway: bool = False) -> Choice:
    """Return where a version is cheapest over all sizes. computing: seconds of a processor, which block the event loop
    where that executes it. anyway: in process, whatever it takes."""
    inline = max(computing.values()) <= INLINE_S
    way, here = (Way.INLINE, computing) if inline else (Way.THREAD, in_thread)
    rows = max(through_backend)
    beside = f"{rows} rows take {_ms(here[rows])} in process, {_ms(through_backend[rows])} through Triton"
    if anyway or sum(here.values()) <= CHEAPER * sum(through_backend.values()):
        return Choice(way, beside)
    return Choice(Way.BACKEND, beside)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


class Bounds:
    """Where the next execution of one version goes, by what those before it took. way: as chosen at first.

    On the event loop runs only what is no larger than an execution that was short enough: with variable dimensions, a
    larger one is measured in a thread first. Two that take too long end executions there until the version is loaded
    again, and in process if they take as long as `LONGEST_S`; one alone may be the garbage collector's doing, unless it
    took very long.
    """

    def __init__(self, way: Way, largest_bytes: int) -> None:
        self.way = way
        self._largest_bytes = largest_bytes
        self._long, self._short_since = 0, 0

    def inline(self, size_bytes: int) -> bool:
        """Return whether an execution with so many bytes of inputs may run on the event loop."""
        return size_bytes <= self._largest_bytes and self.way is Way.INLINE

    def observe(self, size_bytes: int, seconds: float) -> Choice | None:
        """Learn from an execution; return the choice from now on where it changes. seconds: of a processor."""
        if seconds <= (INLINE_S if self.way is Way.INLINE else LONGEST_S):
            self._largest_bytes = max(self._largest_bytes, size_bytes)
            self._short_since += 1
            if self._short_since >= FORGIVEN_AFTER:
                self._long = 0
            return None
        self._long += TOO_MANY if seconds > FORGIVABLE_S else 1
        self._short_since = 0
        if self._long < TOO_MANY or self.way is Way.BACKEND:
            return None
        self.way, self._long = Way.BACKEND if seconds > LONGEST_S else Way.THREAD, 0
        return Choice(self.way, f"an execution with {size_bytes} bytes of inputs took {_ms(seconds)} in process")
