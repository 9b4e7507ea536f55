"""What a store of windows does. `postgres` and `memory` keep the same promises: tests/contract/window_store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from headrace_monitor.judge.windows.decisions.window_summaries import Window, WindowKey
from headrace_monitor.record.log.files import LogFile

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file of the log that is to be summarised for a reference. row: of the claim on it, as its store has it."""

    reference: int
    file: LogFile
    row: Any = None


class WindowStore(Protocol):
    """Stores windows by reference, and which files of the log are in them.

    Several processes may work on one store. Every method raises Unavailable while the store is away.
    """

    async def newest_file(self) -> int:
        """Return the highest id of a file that is to be seen."""
        ...

    async def candidates(self, behind: int, *, limit: int) -> list[PendingFile]:
        """Return files that are due, by reference and id.

        Only for the current reference of each version. Of files that have no record of a summary yet, only those with
        an id above `behind`.
        """
        ...

    async def claim(self, due: Sequence[PendingFile]) -> list[PendingFile]:
        """Return those that are this process's until the lease is over; all of them are of one reference."""
        ...

    def attempt(self, due: Sequence[PendingFile]) -> AbstractAsyncContextManager[None]:
        """Summarise claimed files in a block; when it fails, others may claim them before the lease is over."""
        ...

    async def put(self, due: Sequence[PendingFile], windows: Mapping[WindowKey, Window]) -> None:
        """Add the windows of files and mark the files as summarised, in one transaction.

        Raises Aborted if another process has claimed one of the files since, or if they were put already.
        """
        ...

    async def total(self, reference: int, start: datetime, end: datetime) -> Window:
        """Return all windows that lie within a time as one, in which all traffic counts alike."""
        ...

    async def waiting(self, reference: int, model: str, version: str, start: datetime, end: datetime) -> bool:
        """Return whether a file with rows of that time is not in the windows yet."""
        ...

    async def expire(self, before: datetime, *, files: int) -> None:
        """Remove windows that began before a time, and the records of at most `files` removed files."""
        ...
