"""Answer SQL queries: choose the files that the caller may read, fetch them, and run the query in a child process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace_servicekit.errors import DeadlineExceeded, Unavailable
from headrace_servicekit.fair_share import FairShare, Pool
from headrace_servicekit.identity import Identity
from headrace_servicekit.postgres.connections import Connections
from headrace_servicekit.times import earlier, later

from headrace_monitor.record.log.files import LogFile
from headrace_monitor.record.log.reader import Reader
from headrace_monitor.record.query.cache import FileCache, query_folder
from headrace_monitor.record.query.decisions.scope import OF_LOG, Scope, ViewUse
from headrace_monitor.record.query.exports import export_outcomes, models_with_outcomes
from headrace_monitor.record.query.process import Limits, QueryEnd, QueryProcess, Sources

_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
# A prediction has its id before it is answered, by the same clock.
_UNANSWERED = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)
# A file can be gone between being listed and being fetched: it was merged into another one long before.
_TRIES = 3
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class LogQuery:
    """One SELECT. start, end: of the answers that the views show; None bounds nothing."""

    sql: str
    max_rows: int
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueryInput:
    """The files that a query reads."""

    files: tuple[LogFile, ...]


Send = Callable[[QueryInput | bytes | QueryEnd], Awaitable[object]]


class Queries:
    """Answers queries, at most `at_once` at a time. folder: parent of each query's own folder."""

    def __init__(
        self, reader: Reader, connections: Connections, cache: FileCache, folder: Path, limits: Limits, at_once: int
    ) -> None:
        self._reader, self._connections, self._cache = reader, connections, cache
        self._folder, self._limits = folder, limits
        self._places = FairShare(Pool("queries", at_once, "TOO_MANY_QUERIES", RETRY_AFTER_S))

    async def answer(self, question: LogQuery, caller: Identity, send: Send) -> None:
        """Send what is read, the bytes of the answer, and how it went.

        Raises InvalidArgument, reason QUERY_INVALID; ResourceExhausted, reason QUERY_TOO_LARGE, TOO_MANY_QUERIES or
        TOO_MANY_QUERIES_OF_CLIENT; DeadlineExceeded; Unavailable.
        """
        try:
            with self._places.place():
                async with asyncio.timeout(self._limits.timeout_s), query_folder(self._folder) as folder:
                    await self._answer(question, caller, folder, send)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"the query took longer than {self._limits.timeout_s:g} s: read less, or ask for less",
                reason="QUERY_TOO_SLOW",
            ) from error

    async def _answer(self, question: LogQuery, caller: Identity, folder: Path, send: Send) -> None:
        started = QueryProcess.answering(question.sql, question.max_rows, self._limits, folder)
        async with started as process:
            reading = await process.reading()
            scope = reading.scope.narrowed(Scope(start=question.start, end=question.end))
            files, paths = await self._files(reading, scope, caller, folder)
            await send(QueryInput(files))
            outcomes = await self._outcomes(reading, scope, caller, folder)
            async for each in process.answer(Sources(paths, outcomes, question.start, question.end)):
                await send(each)

    async def _files(
        self, reading: ViewUse, scope: Scope, caller: Identity, folder: Path
    ) -> tuple[tuple[LogFile, ...], tuple[Path, ...]]:
        """Return the files that the query can need, and where they lie."""
        if not reading.views & set(OF_LOG):
            return (), ()
        for _ in range(_TRIES):
            models = [model for model in await self._reader.models() if caller.sees(model)]
            files = [file for model in models for file in await self._of_model(model, scope)]
            with contextlib.suppress(LookupError):
                return tuple(files), await self._cache.link(files, folder)
        raise Unavailable("files of the log went while they were read: try again", reason="LOG_CHANGED")

    async def _of_model(self, model: str, scope: Scope) -> list[LogFile]:
        if scope.models is not None and model not in scope.models:
            return []
        # The range of the store excludes its end, a scope includes it.
        start, end = scope.start or _EVER[0], _EVER[1] if scope.end is None else later(scope.end, _INSTANT)
        files = await self._reader.files(model, None, start, end)
        return [file for file in files if scope.versions is None or file.version in scope.versions]

    async def _outcomes(self, reading: ViewUse, scope: Scope, caller: Identity, folder: Path) -> Path | None:
        """Return a file with the outcomes that the query can need."""
        if not reading.views & {"outcomes", "labelled"}:
            return None
        models = [model for model in await models_with_outcomes(self._connections) if caller.sees(model)]
        path, start, end = folder / "outcomes.csv", None, None
        if "outcomes" not in reading.views:  # then only those of predictions matter
            models = [model for model in models if scope.models is None or model in scope.models]
            start = None if scope.start is None else earlier(scope.start, _UNANSWERED)
            end = None if scope.end is None else later(scope.end, _UNANSWERED)
        await export_outcomes(
            *(self._connections, models, start, end, path),
            max_bytes=self._limits.spill_bytes,
            timeout_s=self._limits.timeout_s,
        )
        return path
