"""Find the predictions of entities' outcomes in the log, and record the outcomes for them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.postgres.connections import Connections

from headrace_monitor.record.log.reader import Reader, batches
from headrace_monitor.record.outcomes.decisions import entities
from headrace_monitor.record.outcomes.decisions.entities import Candidate, Delays, PendingOutcome, Verdict
from headrace_monitor.record.outcomes.decisions.merge import EntityKey, Outcome, OutcomeKey, RecordedOutcome
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import SQL, write_outcomes

CLAIMED = 2000
_CLAIMS = WorkClaims(
    "entity_outcomes",
    {"model": "text", "entity_id": "text", "row_number": "int", "kind": "text", "observe_time": "timestamptz"},
    due="state = 'waiting' and next_try <= $3",
    order="next_try",
    lease=timedelta(minutes=10),  # longer than a step takes
    group="model",
    queue="next_try",
)
_COLUMNS = ("prediction_id", "row", "answer_time", "entity_id")


class EntityJoins:
    """Joins what waits. Any number of replicas may do it: each outcome is joined once."""

    def __init__(
        self, connections: Connections, log: Reader, delays: Delays, metrics: OutcomeMetrics, clock: Clock
    ) -> None:
        self._connections, self._log, self._delays = connections, log, delays
        self._metrics, self._clock = metrics, clock

    async def step(self) -> None:
        """Look up what is due, model by model."""
        await _CLAIMS.work_off(self._connections, self._look_up, limit=CLAIMED, arguments=lambda: (self._clock.now(),))

    async def _look_up(self, claimed: Sequence[Any]) -> None:
        model, now = claimed[0]["model"], self._clock.now()
        waiting = [_waiting(row) for row in claimed]
        due = [one for one in waiting if now >= one.settled_at(self._delays)]
        found = await self._found(model, due)
        by_verdict: dict[Verdict, list[PendingOutcome]] = defaultdict(list)
        for one in waiting:
            by_verdict[entities.judge(one, found.get(one.key), now, self._delays)].append(one)
        async with self._connections.transaction() as connection:
            joined = await self._join(connection, model, by_verdict[Verdict.JOIN], found)
            lost = await connection.fetch(SQL["give_up_entity_outcomes"], model, *_keys(by_verdict[Verdict.GIVE_UP]))
            times = {one.key: entities.next_try(one, now, self._delays) for one in by_verdict[Verdict.WAIT]}
            later = [row for row, one in zip(claimed, waiting, strict=True) if one.key in times]
            await _CLAIMS.postpone(connection, later, [times[_waiting(row).key] for row in later])
        self._metrics.joined("entity", found=joined, given_up=len(lost))

    async def _found(self, model: str, waiting: Sequence[PendingOutcome]) -> dict[EntityKey, Candidate]:
        """Return the last prediction that fits each, reading the latest files first, and no more than are needed."""
        if not waiting:
            return {}
        start = min(one.earliest for one in waiting)
        end = max(one.key.observe_time for one in waiting) + timedelta(microseconds=1)
        files = sorted(await self._log.files(model, None, start, end), key=lambda file: file.max_answer_time)
        found: dict[EntityKey, Candidate] = {}
        open_ones = list(waiting)
        while files and open_ones:
            file = files.pop()
            # Of what is older than the prediction that was found, nothing can be later.
            open_ones = [
                one for one in open_ones if one.key not in found or found[one.key].answer_time <= file.max_answer_time
            ]
            wanted = [one for one in open_ones if _may_have(file, one)]
            if not wanted:
                continue
            try:
                content = await self._log.content(file)
            except LookupError:
                continue  # retention took it while we read
            for key, candidate in (await asyncio.to_thread(_candidates, content, wanted)).items():
                found[key] = max(candidate, found.get(key, candidate))
        return found

    async def _join(
        self, connection: Any, model: str, waiting: Sequence[PendingOutcome], found: dict[EntityKey, Candidate]
    ) -> int:
        ids = [found[one.key].prediction_id for one in waiting]
        rows = await connection.fetch(SQL["join_entity_outcomes"], model, *_keys(waiting), ids)
        reported: dict[OutcomeKey, list[RecordedOutcome]] = defaultdict(list)
        for row in rows:
            value = row["number"] if row["text"] is None else row["text"]
            record = RecordedOutcome(Outcome(row["observe_time"], value), row["client"], row["record_time"])
            reported[OutcomeKey(row["prediction_id"], row["row_number"], row["kind"])].append(record)
        await write_outcomes(connection, model, reported, self._clock.now())
        return len(rows)


def _may_have(file: Any, waiting: PendingOutcome) -> bool:
    return file.min_answer_time <= waiting.key.observe_time and file.max_answer_time >= waiting.earliest


def _candidates(content: bytes, waiting: Sequence[PendingOutcome]) -> dict[EntityKey, Candidate]:
    """Return the last prediction in a file that fits each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    by_row: dict[tuple[str, int], list[PendingOutcome]] = defaultdict(list)
    for one in waiting:
        by_row[one.key.entity_id, one.key.row].append(one)
    wanted = pa.array(sorted({one.key.entity_id for one in waiting}))
    found: dict[EntityKey, Candidate] = {}
    for batch in batches(content, _COLUMNS):
        if "entity_id" not in batch.schema.names:
            return {}
        known = batch.filter(pc.is_in(batch.column("entity_id"), wanted))  # pyright: ignore[reportAttributeAccessIssue]
        for entity, row, candidate in _rows(known):
            for one in by_row.get((entity, row), ()):
                if entities.fits(one, candidate):
                    found[one.key] = max(candidate, found.get(one.key, candidate))
    return found


def _rows(batch: Any) -> Iterator[tuple[str, int, Candidate]]:
    columns = (batch.column(name).to_pylist() for name in ("entity_id", "row", "answer_time", "prediction_id"))
    for entity, row, time, prediction_id in zip(*columns, strict=True):
        yield entity, row, Candidate(time, UUID(prediction_id))


def _waiting(row: Any) -> PendingOutcome:
    key = EntityKey(row["entity_id"], row["row_number"], row["kind"], row["observe_time"])
    return PendingOutcome(key, row["record_time"], row["reach"])


def _keys(waiting: Iterable[PendingOutcome]) -> tuple[list[Any], ...]:
    keys = [one.key for one in waiting]
    return (
        [key.entity_id for key in keys],
        [key.row for key in keys],
        [key.kind for key in keys],
        [key.observe_time for key in keys],
    )
