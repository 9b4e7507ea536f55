"""Record the outcomes of a request, and say which were rejected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from headrace.monitor.v1 import outcome_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation

from headrace_monitor.record.outcomes import convert
from headrace_monitor.record.outcomes.decisions.merge import OutcomeKey, RecordedOutcome, ReportedOutcome, Result
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.store import OutcomeStore

# Outcomes converted at a time, so that a large request does not block small ones.
TURN_OUTCOMES = 500


class OutcomeRecorder:
    """Records outcomes. memory: how long predictions are kept; outcomes of older ones are rejected."""

    def __init__(self, store: OutcomeStore, memory: timedelta, metrics: OutcomeMetrics, clock: Clock) -> None:
        self._store, self._memory, self._metrics, self._clock = store, memory, metrics, clock

    async def record(
        self, model: str, messages: Sequence[outcome_pb2.Outcome], reach: timedelta, client: str
    ) -> tuple[list[Result], list[FieldViolation]]:
        """Record outcomes; return the result of each, and what is wrong with the rejected ones."""
        limits = convert.Limits(self._clock.now(), self._memory)
        results = [Result.REJECTED] * len(messages)
        taken: list[ReportedOutcome] = []
        places: list[int] = []
        rejections: list[FieldViolation] = []
        for first in range(0, len(messages), TURN_OUTCOMES):
            turn = messages[first : first + TURN_OUTCOMES]
            for place, one in enumerate(convert.reported(turn, first, reach, limits), first):
                if isinstance(one, FieldViolation):
                    rejections.append(one)
                else:
                    taken.append(one)
                    places.append(place)
            await asyncio.sleep(0)
        if taken:
            recorded = await self._store.record(model, taken, client, limits.now)
            for place, result in zip(places, recorded, strict=True):
                results[place] = result
        self._metrics.reported(results)
        return results, rejections

    async def of_prediction(
        self, model: str, prediction_id: UUID
    ) -> list[tuple[OutcomeKey, RecordedOutcome, list[RecordedOutcome]]]:
        """Return the recorded outcomes of a prediction, each with those that it corrected."""
        return await self._store.of_prediction(model, prediction_id)
