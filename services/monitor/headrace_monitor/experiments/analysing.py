"""Run the query of an experiment, and say what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.identity import INTERNAL

from headrace_monitor.experiments.decisions import definitions, selection
from headrace_monitor.experiments.decisions.definitions import Experiment
from headrace_monitor.experiments.decisions.verdicts import MomentRow, Verdict, slices, verdict
from headrace_monitor.experiments.store import ExperimentStore
from headrace_monitor.query.answering import LogQuery, Queries, QueryInput
from headrace_monitor.query.process import QueryEnd

# Slices times phases times variants times metrics.
_MAX_ROWS = 100_000


class Analyst:
    """Says what experiments say now."""

    def __init__(self, store: ExperimentStore, queries: Queries, clock: Clock) -> None:
        self._store, self._queries, self._clock = store, queries, clock

    async def analyse(self, model: str, id_: str, slice_by: str = "") -> Verdict:
        """Return what the data say now, and of the slices of an attribute.

        Raises NotFound, PreconditionFailed, ResourceExhausted, DeadlineExceeded.
        """
        experiment = await self._store.get(model, id_)
        definitions.check_ran(experiment)
        now = self._clock.now()
        rows = await self._rows(experiment, now, "")
        parts = await self._rows(experiment, now, slice_by) if slice_by else []

        def said() -> Verdict:
            of_parts = tuple(slices(experiment, parts))
            return replace(verdict(experiment, rows, now), slices=of_parts)

        return await asyncio.to_thread(said)

    async def _rows(self, experiment: Experiment, now: datetime, slice_by: str) -> Sequence[MomentRow]:
        start, end = selection.read_range(experiment, now)
        arrow: list[bytes] = []

        async def take(part: QueryInput | bytes | QueryEnd) -> None:
            if isinstance(part, bytes):
                arrow.append(part)
            elif isinstance(part, QueryEnd) and part.truncated:
                raise ResourceExhausted("the experiment has more phases than can be read", reason="QUERY_TOO_LARGE")

        # Outcomes of its own model only: the caller was let in by the model.
        query = LogQuery(selection.moments_sql(experiment, now, slice_by), _MAX_ROWS, start, end)
        await self._queries.answer(query, INTERNAL, take)
        return await asyncio.to_thread(_moment_rows, b"".join(arrow))


def _moment_rows(arrow: bytes) -> Sequence[MomentRow]:
    import pyarrow.ipc  # takes a tenth of a second, that the start need not wait for

    table = pyarrow.ipc.open_stream(arrow).read_all()
    columns: list[list[Any]] = [column.to_pylist() for column in table.columns]
    return [
        MomentRow(
            *(value, metric, phase, variant, units, crossed),
            None if metric is None else tuple(float(n) for n in numbers),
        )
        for value, metric, phase, variant, units, crossed, *numbers in zip(*columns, strict=True)
    ]
