"""Run the queries of an experiment, and say what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.columns import sound_table
from headrace_servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.identity import INTERNAL

from headrace_monitor.judge.experiments.decisions import definitions, selection
from headrace_monitor.judge.experiments.decisions.definitions import Experiment, State
from headrace_monitor.judge.experiments.decisions.events import ALARMS
from headrace_monitor.judge.experiments.decisions.moments import moments_sql, steps_of
from headrace_monitor.judge.experiments.decisions.tally import MomentRow, rows_of
from headrace_monitor.judge.experiments.decisions.verdicts import Verdict, history, slices, verdict
from headrace_monitor.judge.experiments.store import ExperimentStore
from headrace_monitor.judge.experiments.unit_tables import UnitTables
from headrace_monitor.record.query.process import QueryEnd
from headrace_monitor.record.query.queries import LogQuery, Queries, QueryInput

log = structlog.get_logger()

# Slices times steps times phases times variants times metrics.
_MAX_ROWS = 200_000
_MAX_UNITS = 10**9


class Analyst:
    """Says what experiments say now."""

    def __init__(self, store: ExperimentStore, tables: UnitTables, queries: Queries, clock: Clock) -> None:
        self._store, self._tables, self._queries, self._clock = store, tables, queries, clock

    async def analyse(self, model: str, id_: str, slice_by: str = "") -> Verdict:
        """Return what the data say now, and of the slices of an attribute.

        Raises NotFound, PreconditionFailed, ResourceExhausted, DeadlineExceeded.
        """
        experiment, now = await self._ran(model, id_), self._clock.now()
        rows = await self._rows(experiment, now, moments_sql(experiment))
        parts = await self._slice_rows(experiment, now, slice_by) if slice_by else []

        def said() -> Verdict:
            whole = verdict(experiment, rows, now)
            return replace(whole, slices=tuple(slices(experiment, parts, sum(whole.assigned.values()))))

        found = await asyncio.to_thread(said)
        await self._report_alarm(experiment, found)
        return found

    async def history(self, model: str, id_: str) -> list[Verdict]:
        """Return what units say by the time of their first answer, the last of which is what they say now.

        Raises as `analyse`.
        """
        experiment, now = await self._ran(model, id_), self._clock.now()
        steps = steps_of(experiment, now)
        rows = await self._rows(experiment, now, moments_sql(experiment, steps=steps))
        return await asyncio.to_thread(history, experiment, rows, steps, now)

    async def units(self, model: str, id_: str, parts: int, part: int, send: Callable[[bytes], Awaitable[Any]]) -> None:
        """Send the units of an experiment, or a part of them, as an Arrow IPC stream. Raises as `analyse`."""
        experiment, now = await self._ran(model, id_), self._clock.now()

        async def take(piece: bytes | QueryEnd) -> None:
            if isinstance(piece, bytes):
                await send(piece)

        sql = selection.units_sql(experiment, parts=parts, part=part)
        await self._tables.ask(experiment, now, sql, _MAX_UNITS, take)

    async def _report_alarm(self, experiment: Experiment, found: Verdict) -> None:
        kind = ALARMS.get(found.analysis.state)
        if kind is not None and experiment.state is State.RUNNING and kind not in experiment.reported:
            await self._store.report(experiment, kind, found.summary, found.analysis.variant or "")

    async def _ran(self, model: str, id_: str) -> Experiment:
        experiment = await self._store.get(model, id_)
        definitions.check_ran(experiment)
        return experiment

    async def _rows(self, experiment: Experiment, now: datetime, sql: str) -> Sequence[MomentRow]:
        answer = _Answer()
        await self._tables.ask(experiment, now, sql, _MAX_ROWS, answer.take)
        return await asyncio.to_thread(_moment_rows, b"".join(answer.arrow))

    async def _slice_rows(self, experiment: Experiment, now: datetime, slice_by: str) -> Sequence[MomentRow]:
        """Return the rows by an attribute, of which nothing is kept: the whole log is read."""
        answer, (start, end) = _Answer(), selection.read_range(experiment, now)
        sql = selection.from_log(experiment, moments_sql(experiment, slice_by), slice_by)
        # Outcomes of this model only: the caller is authorised for the model.
        await self._queries.answer(LogQuery(sql, _MAX_ROWS, start, end), INTERNAL, answer.take)
        return await asyncio.to_thread(_moment_rows, b"".join(answer.arrow))


class ExperimentWatch:
    """Analyses each running experiment in turn, on one of the replicas: alarms are reported without a caller."""

    def __init__(self, store: ExperimentStore, analyst: Analyst, every: timedelta) -> None:
        self._store, self._analyst, self._every = store, analyst, every

    async def step(self) -> None:
        """Analyse those that are due, one after the other; one that cannot be read delays no other."""
        with suppress(Unavailable):  # health reports the database; the next round analyses
            while (due := await self._store.claim_due(self._every)) is not None:
                await self._look(*due)

    async def _look(self, model: str, id_: str) -> None:
        try:
            await self._analyst.analyse(model, id_)
        except ServiceError as error:
            log.warning("an experiment waits", model=model, experiment=id_, reason=error.public_message)


class _Answer:
    """What comes of a query: an Arrow IPC stream."""

    def __init__(self) -> None:
        self.arrow: list[bytes] = []

    async def take(self, part: QueryInput | bytes | QueryEnd) -> None:
        if isinstance(part, bytes):
            self.arrow.append(part)
        elif isinstance(part, QueryEnd) and part.truncated:
            raise ResourceExhausted("the experiment has more phases than can be read", reason="QUERY_TOO_LARGE")


def _moment_rows(arrow: bytes) -> Sequence[MomentRow]:
    import pyarrow.ipc  # takes a tenth of a second, that the start need not wait for

    table = sound_table(pyarrow.ipc.open_stream(arrow).read_all())
    return list(rows_of(zip(*(column.to_pylist() for column in table.columns), strict=True)))
