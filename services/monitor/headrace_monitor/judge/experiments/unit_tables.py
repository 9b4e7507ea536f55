"""Local tables of experiments, so that an analysis reads only new records.

One file for each experiment. If it is lost, the next analysis reads the whole log. It is removed when it was unused for
a while, and when other files need the disk space.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import structlog
from headrace_servicekit.errors import DeadlineExceeded, ServiceError, Unavailable
from headrace_servicekit.fair_share import FairTurns
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.times import earlier

from headrace_monitor.judge.experiments.decisions import selection, unit_table
from headrace_monitor.judge.experiments.decisions.definitions import Experiment
from headrace_monitor.judge.experiments.decisions.unit_table import Retention, Watermark
from headrace_monitor.judge.experiments.unit_files import UnitFiles
from headrace_monitor.record.log.files import LogFile, LogPosition
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.query.cache import FileCache, query_folder
from headrace_monitor.record.query.exports import export_changes
from headrace_monitor.record.query.process import Limits, QueryEnd, QueryProcess

log = structlog.get_logger()

_ENGINE = "headrace_monitor.judge.experiments.unit_engine"
_AT_ONCE = 2
# Of the log, taken in at a time.
_FILES_AT_ONCE, _BYTES_AT_ONCE = 200, 64 * 2**20
# A rebuild reads the whole log.
_TIMEOUT_S = 1800.0
# A prediction has its id before it is answered, by the same clock.
_UNANSWERED = timedelta(hours=1)

_CRASHES = {str(int(each)) for each in (signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGSEGV)}

Take = Callable[[bytes | QueryEnd], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class UnitSources:
    """What units are counted from: the log, and the outcomes in PostgreSQL."""

    reader: Reader
    connections: Connections
    cache: FileCache


class _Call:
    """One caller. works: its query runs. answered: a part of the answer was passed on."""

    def __init__(self, take: Take) -> None:
        self._take: Take | None = take
        self.works = self.answered = False

    async def take(self, piece: bytes | QueryEnd) -> None:
        """Pass a part of the answer to the caller unless it has left."""
        self.answered = True
        if self._take is not None:
            await self._take(piece)

    def leave(self) -> bool:
        """Stop passing on the answer; return whether the running query continues."""
        self._take = None
        return self.works


class UnitTables:
    """Answers SELECTs over `counted` of experiments. folder: for the tables. scratch: parent of what a query needs.

    max_bytes: of all tables together, of which one may have half.
    """

    def __init__(
        self, sources: UnitSources, folder: Path, scratch: Path, limits: Limits, retention: Retention, max_bytes: int
    ) -> None:
        self._sources, self._scratch = sources, scratch
        self._limits = replace(limits, timeout_s=_TIMEOUT_S, spill_bytes=max_bytes // 2)
        self._retention, self._max_bytes, self._answer_s = retention, max_bytes, limits.timeout_s
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._files = UnitFiles(folder, max_bytes, self._locks.__contains__)
        self._turns = FairTurns(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> UnitTables:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, experiment: Experiment, now: datetime, sql: str, max_rows: int, take: Take) -> None:
        """Update the units of an experiment, and answer a SELECT over them.

        If the caller leaves during the update, the update continues, and a retry finds it done.
        Raises ResourceExhausted, DeadlineExceeded, Unavailable.
        """
        call = _Call(take)
        work = self._answer(experiment, now, sql, max_rows, call)
        task = asyncio.create_task(work, name=f"units of {experiment.model}/{experiment.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not call.leave():
                task.cancel()
            raise

    async def expire(self, now: datetime) -> None:
        """Remove tables that were unused for so long that they can no longer be updated."""
        self._files.expire((now - self._retention.files_stay).timestamp())

    async def _answer(self, experiment: Experiment, now: datetime, sql: str, max_rows: int, call: _Call) -> None:
        path = self._files.path(experiment)
        try:
            lock = self._locks.setdefault(path, asyncio.Lock())
            async with asyncio.timeout(_TIMEOUT_S), lock, self._turns.turn():
                self._files.make_room(path)
                call.works = True
                try:
                    await self._ask(path, experiment, now, sql, max_rows, call)
                except ServiceError as error:
                    if call.answered or not _damaged(error):
                        raise
                    log.warning("units are counted again", experiment=experiment.id, reason=error.public_message)
                    self._files.remove(path)
                    await self._ask(path, experiment, now, sql, max_rows, call)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"counting the units took longer than {_TIMEOUT_S:g} s, or reading the answer {self._answer_s:g} s",
                reason="QUERY_TOO_SLOW",
            ) from error

    async def _ask(
        self, path: Path, experiment: Experiment, now: datetime, sql: str, max_rows: int, call: _Call
    ) -> None:
        start = selection.read_range(experiment, now)[0]
        table = unit_table.unit_table(experiment, start)
        job = {"path": os.fspath(path), "table": asdict(table), "sql": sql, "max_rows": max_rows}
        async with (
            query_folder(self._scratch) as folder,
            QueryProcess.running(_ENGINE, job, self._limits, folder) as process,
        ):
            known = (await process.next_report())["watermark"]
            await self._give(process, experiment, start, Watermark(**known) if known else None, folder)
            await process.next_report()
            os.utime(path)
            # Who reads slowly keeps others from these units.
            async with asyncio.timeout(self._answer_s):
                async for piece in process.rows():
                    await call.take(piece)

    async def _give(
        self, process: QueryProcess, experiment: Experiment, start: datetime, there: Watermark | None, folder: Path
    ) -> None:
        """Send the records since the table's watermark to the process; all records if the table has to be rebuilt."""
        mark = unit_table.fingerprint(experiment, start)

        def usable(position: LogPosition) -> Watermark | None:
            goes_on = there is not None and unit_table.goes_on(there, mark, position, start, self._retention)
            return there if goes_on else None

        def after(position: LogPosition) -> int | None:
            before = usable(position)
            return None if before is None else before.files

        sources = self._sources
        position, files = await sources.reader.following(experiment.model, start, after)
        before = usable(position)
        await process.give({"fresh": before is None})
        for some in portions(files, min(_BYTES_AT_ONCE, sources.cache.max_bytes)):
            paths = await self._link(some, folder)
            await process.give({"files": [os.fspath(each) for each in paths]})
            await process.next_report()
            for each in paths:
                each.unlink()
        outcomes = folder / "outcomes.csv"
        await export_changes(
            *(sources.connections, experiment.model, unit_table.kinds(experiment)),
            *(before.changes if before else 0, earlier(start, _UNANSWERED), outcomes),
            max_bytes=self._max_bytes,
            timeout_s=_TIMEOUT_S,
        )
        ended = experiment.end_time is not None
        watermark = Watermark(
            *(mark, position.database, position.files, position.changes),
            *(before.made if before else position.time.isoformat(), position.time.isoformat(), ended),
        )
        ends = ended and before is not None and not before.ended
        await process.give({"watermark": asdict(watermark), "outcomes": os.fspath(outcomes), "ended": ends})

    async def _link(self, files: Sequence[LogFile], folder: Path) -> tuple[Path, ...]:
        try:
            return await self._sources.cache.link(files, folder)
        except LookupError:
            raise Unavailable("files of the log went while they were read: try again", reason="LOG_CHANGED") from None


def _damaged(error: ServiceError) -> bool:
    """Return whether an error may come from a damaged file: it could not be read, or its reader crashed."""
    if error.reason == "QUERY_TOO_LARGE":
        return error.metadata.get("signal") in _CRASHES
    return error.reason in ("QUERY_INVALID", "QUERY_PROCESS_ENDED")


def portions(files: Sequence[LogFile], most_bytes: int) -> Iterator[list[LogFile]]:
    """Yield batches of files to read at a time, each of at least one file and of at most `most_bytes` otherwise."""
    some: list[LogFile] = []
    for file in files:
        full = sum(each.size_bytes for each in some) + file.size_bytes > most_bytes
        if some and (full or len(some) == _FILES_AT_ONCE):
            yield some
            some = []
        some.append(file)
    if some:
        yield some
