"""Run the query of an experiment, and say what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import ResourceExhausted
from headrace_servicekit.identity import INTERNAL

from headrace_monitor.experiments.decisions import definitions, selection
from headrace_monitor.experiments.decisions.verdicts import MomentRow, Verdict, verdict
from headrace_monitor.experiments.store import ExperimentStore
from headrace_monitor.query.answering import LogQuery, Queries, QueryInput
from headrace_monitor.query.process import QueryEnd

# Phases times variants times metrics.
_MAX_ROWS = 100_000


class Analyst:
    """Says what experiments say now."""

    def __init__(self, store: ExperimentStore, queries: Queries, clock: Clock) -> None:
        self._store, self._queries, self._clock = store, queries, clock

    async def analyse(self, model: str, id_: str) -> Verdict:
        """Return what the data say now. Raises NotFound, PreconditionFailed, ResourceExhausted, DeadlineExceeded."""
        experiment = await self._store.get(model, id_)
        definitions.check_ran(experiment)
        now = self._clock.now()
        start, end = selection.read_range(experiment, now)
        arrow: list[bytes] = []

        async def take(part: QueryInput | bytes | QueryEnd) -> None:
            if isinstance(part, bytes):
                arrow.append(part)
            elif isinstance(part, QueryEnd) and part.truncated:
                raise ResourceExhausted("the experiment has more phases than can be read", reason="QUERY_TOO_LARGE")

        # Outcomes of its own model only: the caller was let in by the model.
        query = LogQuery(selection.moments_sql(experiment, now), _MAX_ROWS, start, end)
        await self._queries.answer(query, INTERNAL, take)
        return await asyncio.to_thread(lambda: verdict(experiment, _rows(b"".join(arrow)), now))


def _rows(arrow: bytes) -> Sequence[MomentRow]:
    import pyarrow.ipc  # takes a tenth of a second, that the start need not wait for

    table = pyarrow.ipc.open_stream(arrow).read_all()
    columns: list[list[Any]] = [column.to_pylist() for column in table.columns]
    return [
        MomentRow(
            *(metric, phase, variant, units, crossed), None if metric is None else tuple(float(n) for n in numbers)
        )
        for metric, phase, variant, units, crossed, *numbers in zip(*columns, strict=True)
    ]
