"""What was executing in process when the process died, on disk: such a version is executed through Triton for good.

A page that is shared with the kernel outlives the process: each thread writes there which file it runs, before and
after. `faulthandler` leaves a trace of a native crash. Without one the process was killed, which says little of what it
was executing: it counts from the second time on without a clean stop between them, as memory may have run out.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()

_SLOT_BYTES = 64
_EMPTY = bytes(_SLOT_BYTES)
# Deaths from which on a version is not executed in process any more.
_FATAL = 2
_MAX_FILES = 1024
_MOST_TRACE_CHARS = 4000


class CrashRecord:
    """Knows the files that were executing when this process died, by their digest. threads: that run any at once.

    `begin` and `end` are called in every thread; the rest from one. Raises OSError where the folder cannot be written.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._slots_file, self._trace_file = folder / "executing", folder / "trace"
        self._deaths_file = folder / "deaths.json"
        folder.mkdir(parents=True, exist_ok=True)
        self._deaths = self._read_deaths()
        self._count_what_was_executing()
        self._slots_file.write_bytes(_EMPTY * threads)
        with self._slots_file.open("r+b") as file:
            self._slots = mmap.mmap(file.fileno(), 0)
        self._free = list(range(0, _SLOT_BYTES * threads, _SLOT_BYTES))
        self._digests: dict[str, bytes] = {}

    @contextlib.contextmanager
    def kept(self) -> Iterator[CrashRecord]:
        """Have native crashes leave a trace, unless something else does; the end of the block is a clean stop."""
        with self._trace_file.open("wb") as trace:
            ours = not faulthandler.is_enabled()
            if ours:
                faulthandler.enable(trace)
            try:
                yield self
            finally:
                if ours:
                    faulthandler.disable()
                fatal = {digest: deaths for digest, deaths in self._deaths.items() if deaths >= _FATAL}
                if fatal != self._deaths:
                    self._deaths = fatal
                    self._write_deaths()
                self._slots.close()

    def name(self, name: str, digest: str) -> None:
        """Know a version by the digest of its file from now on."""
        self._digests[name] = digest.encode()[:_SLOT_BYTES].ljust(_SLOT_BYTES, b"\0")

    def crashed(self, digest: str) -> bool:
        """Return whether this process died of executing a file."""
        return self._deaths.get(digest, 0) >= _FATAL

    def begin(self, name: str) -> int:
        at = self._free.pop()
        self._slots[at : at + _SLOT_BYTES] = self._digests[name]
        return at

    def end(self, number: int) -> None:
        self._slots[number : number + _SLOT_BYTES] = _EMPTY
        self._free.append(number)

    def _count_what_was_executing(self) -> None:
        try:
            slots, trace = self._slots_file.read_bytes(), self._trace_file.read_text(errors="replace")
        except FileNotFoundError:
            return
        found = {slots[at : at + _SLOT_BYTES].rstrip(b"\0").decode() for at in range(0, len(slots), _SLOT_BYTES)}
        executing = sorted(found - {""})
        if trace:
            log.error("this process crashed before", executing=executing, trace=trace[:_MOST_TRACE_CHARS])
        for digest in executing:
            self._deaths[digest] = _FATAL if trace else self._deaths.get(digest, 0) + 1
        if executing:
            self._write_deaths()

    def _read_deaths(self) -> dict[str, int]:
        try:
            return {str(digest): int(deaths) for digest, deaths in json.loads(self._deaths_file.read_bytes()).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("record of crashes is unreadable", path=str(self._deaths_file), cause=str(error))
            return {}

    def _write_deaths(self) -> None:
        newest = dict(list(self._deaths.items())[-_MAX_FILES:])
        being_written = self._deaths_file.with_suffix(".new")
        being_written.write_text(json.dumps(newest))
        being_written.replace(self._deaths_file)
