"""Windows in memory, for tests of what uses them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, Window, WindowKey, even
from headrace_monitor.judge.windows.store import LEASE, PendingFile
from headrace_monitor.record.log.files import LogFile
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.claims import pause_after
from headrace_servicekit.errors import Aborted


@dataclass(slots=True)
class _Noted:
    """What is known of a file of a reference. waiting: it is not in the windows yet. claims: how often it was taken."""

    waiting: bool = True
    claims: int = 0
    claimed_until: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self.waiting and (self.claimed_until is None or self.claimed_until <= now)


class MemoryWindows:
    """Implements WindowStore. files: of the log, by id. replaced: ids of those whose records a merged file has."""

    def __init__(self, clock: Clock, lease: timedelta = LEASE) -> None:
        self._clock, self._lease = clock, lease
        self.files: dict[int, LogFile] = {}
        self.replaced: set[int] = set()
        self._references: dict[int, tuple[str, str, datetime]] = {}
        self._noted: dict[tuple[int, int], _Noted] = {}
        self._windows: dict[int, dict[WindowKey, Window]] = defaultdict(dict)

    def add_reference(self, number: int, model: str, version: str, since: datetime) -> None:
        """Add a reference. since: files of this hour and later ones are summarised for it."""
        self._references[number] = model, version, since

    async def newest_file(self) -> int:
        return max(self.files, default=0)

    async def candidates(self, behind: int, *, limit: int) -> list[PendingFile]:
        current = {self._references[number][:2]: number for number in sorted(self._references)}
        found = [
            PendingFile(reference, file)
            for reference in sorted(current.values())
            for _, file in sorted(self.files.items())
            if self._is_due(reference, file, behind)
        ]
        return found[:limit]

    async def claim(self, due: Sequence[PendingFile]) -> list[PendingFile]:
        mine: list[PendingFile] = []
        now = self._clock.now()
        for each in due:
            noted = self._noted.setdefault((each.reference, each.file.id), _Noted())
            if noted.is_due(now):
                noted.claims += 1
                noted.claimed_until = now + self._lease
                mine.append(replace(each, row=noted.claims))
        return mine

    @asynccontextmanager
    async def attempt(self, due: Sequence[PendingFile]) -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            for noted in self._mine(due):
                noted.claimed_until = None
            raise
        except Exception:
            for noted in self._mine(due):
                noted.claimed_until = self._clock.now() + pause_after(noted.claims, 0.5)
            raise

    async def put(self, due: Sequence[PendingFile], windows: Mapping[WindowKey, Window]) -> None:
        if len(self._mine(due)) != len(due):
            raise Aborted("another process summarises these files", reason="LEASE_LOST")
        kept = self._windows[due[0].reference]
        kept |= {key: kept.get(key, EMPTY).merge(window) for key, window in windows.items()}
        for noted in self._mine(due):
            noted.waiting, noted.claimed_until = False, None

    async def total(self, reference: int, start: datetime, end: datetime) -> Window:
        found: dict[float, Window] = {}
        for key, window in sorted(self._windows[reference].items(), key=lambda item: item[0]):
            if start <= key.start and key.end <= end:
                found[key.probability] = found.get(key.probability, EMPTY).merge(window)
        return even(found)

    async def waiting(self, reference: int, model: str, version: str, start: datetime, end: datetime) -> bool:
        hour = start.replace(minute=0, second=0, microsecond=0)
        for file in self.files.values():
            of_time = (file.model, file.version) == (model, version) and hour <= file.hour < end
            noted = self._noted.get((reference, file.id))
            if of_time and file.id not in self.replaced and (noted.waiting if noted else not file.merged):
                return True
        return False

    async def expire(self, before: datetime, *, files: int) -> None:
        for kept in self._windows.values():
            for key in [key for key in kept if key.start < before]:
                del kept[key]
        for place in [place for place in self._noted if place[1] not in self.files][:files]:
            del self._noted[place]

    def _is_due(self, reference: int, file: LogFile, behind: int) -> bool:
        noted = self._noted.get((reference, file.id))
        model, version, since = self._references[reference]
        if noted is not None:
            return noted.is_due(self._clock.now())
        of_version = (file.model, file.version) == (model, version)
        return of_version and file.id > behind and file.hour >= since and not file.merged

    def _mine(self, due: Sequence[PendingFile]) -> list[_Noted]:
        """Return what is known of the files whose claims have not ended."""
        noted = [(self._noted.get((each.reference, each.file.id)), each.row) for each in due]
        return [
            one for one, claims in noted if one is not None and one.claimed_until is not None and one.claims == claims
        ]
