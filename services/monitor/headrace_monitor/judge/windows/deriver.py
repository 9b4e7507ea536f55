"""Summarise files of the log into windows: each file once for a reference, on whichever replica."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pyarrow as pa
import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted
from prometheus_client import CollectorRegistry, Counter

from headrace_monitor.judge.references.log_rows import LogReader
from headrace_monitor.judge.references.store import References, StoredReference
from headrace_monitor.judge.windows.decisions import window_summaries
from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, Window, WindowKey
from headrace_monitor.judge.windows.store import PendingFile, WindowStore

log = structlog.get_logger()

# Together they are read, summarised and written within a lease, also on a busy machine.
BATCH_FILES = 32
BATCH_ROWS = 200_000
LOOKED_AT = 256
# Ids of files become visible in their order, so that only later ones need be asked for. But a reference may be frozen
# in the same moment as a file comes, by a transaction that does not see it.
FULL_EVERY_S = 300.0


class WindowMetrics:
    """Metrics of the deriver."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._files = Counter("monitor_windows_files", "Files of the log that were summarised.", registry=registry)
        self._rows = Counter("monitor_windows_rows", "Rows of the log that were summarised.", registry=registry)
        self._gone = Counter(
            "monitor_windows_files_gone", "Files that were gone before they were summarised.", registry=registry
        )

    def taken(self, files: int, rows: int) -> None:
        """Count what was brought into windows."""
        self._files.inc(files)
        self._rows.inc(rows)

    def gone(self) -> None:
        """Count a file that was gone."""
        self._gone.inc()


class Deriver:
    """Summarises what the log has and the windows have not. seconds: of a window."""

    def __init__(
        self,
        windows: WindowStore,
        references: References,
        reader: LogReader,
        seconds: int,
        clock: Clock,
        metrics: WindowMetrics,
    ) -> None:
        self._windows, self._references, self._reader = windows, references, reader
        self._seconds, self._clock, self._metrics = seconds, clock, metrics
        self._behind, self._full_at = 0, -FULL_EVERY_S

    async def catch_up(self) -> None:
        """Summarise until nothing is due. Raises Unavailable."""
        full = self._clock.monotonic() - self._full_at >= FULL_EVERY_S
        newest = await self._windows.newest_file()
        while await self.step(0 if full else self._behind):
            pass
        self._behind = newest
        if full:
            self._full_at = self._clock.monotonic()

    async def step(self, behind: int = 0) -> bool:
        """Summarise some files into windows; return whether there may be more. behind: ids up to it are known."""
        due = await self._windows.candidates(behind, limit=LOOKED_AT)
        batches = batches_of(due)
        for batch in batches:
            mine = await self._windows.claim(batch)
            if mine:
                await self._take(mine)
                return True
        # All files are claimed by other processes; only a full page may hide unclaimed ones.
        return len(due) == LOOKED_AT

    async def _take(self, due: Sequence[PendingFile]) -> None:
        try:
            async with self._windows.attempt(due):
                windows = await self._windows_of(due)
                await self._windows.put(due, windows)
        except Aborted:
            log.warning("lease lost while summarising", reference=due[0].reference, files=len(due))
            return
        self._metrics.taken(len(due), sum(window.rows for window in windows.values()))

    async def _windows_of(self, due: Sequence[PendingFile]) -> Mapping[WindowKey, Window]:
        reference = await self._references.get(due[0].reference)
        assert reference is not None  # a claim names one that exists
        windows: dict[WindowKey, Window] = {}
        for each in due:
            for key, window in (await self._summarised(each, reference)).items():
                windows[key] = windows.get(key, EMPTY).merge(window)
        return windows

    async def _summarised(self, due: PendingFile, reference: StoredReference) -> Mapping[WindowKey, Window]:
        try:
            table = await self._reader.table(due.file, window_summaries.wanted_columns(reference.monitored))
        except LookupError:
            # Retention was faster; waiting for it would keep every other file waiting.
            log.warning("file of the log is gone", file=due.file.id, model=reference.model, version=reference.version)
            self._metrics.gone()
            return {}
        return await asyncio.to_thread(_windows_of, table, reference, self._seconds)


def _windows_of(table: pa.Table, reference: StoredReference, seconds: int) -> dict[WindowKey, Window]:
    return window_summaries.windows_of(table, reference.monitored, reference.reference.columns, seconds)


def batches_of(due: Sequence[PendingFile]) -> list[list[PendingFile]]:
    """Return batches of files of one reference, bounded in number and rows; a single file may exceed the bound.

    due: in the order of references.
    """
    batches: list[list[PendingFile]] = []
    rows = 0
    for each in due:
        full = not batches or batches[-1][0].reference != each.reference or len(batches[-1]) == BATCH_FILES
        if full or rows + each.file.rows > BATCH_ROWS:
            batches.append([])
            rows = 0
        batches[-1].append(each)
        rows += each.file.rows
    return batches
