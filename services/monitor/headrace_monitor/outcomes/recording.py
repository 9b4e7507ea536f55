"""Recording outcomes: what is wrong with each, what became of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from headrace.monitor.v1 import outcome_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation

from headrace_monitor.outcomes import convert
from headrace_monitor.outcomes.facts import Key, Record, Result, Told
from headrace_monitor.outcomes.metrics import OutcomeMetrics
from headrace_monitor.outcomes.store import OutcomeStore

# Outcomes are read so many at a time, so that a large request does not keep small ones waiting.
TURN_OUTCOMES = 500


class Outcomes:
    """memory: for how long predictions are kept; nothing is taken about older ones."""

    def __init__(self, store: OutcomeStore, memory: timedelta, metrics: OutcomeMetrics, clock: Clock) -> None:
        self._store, self._memory, self._metrics, self._clock = store, memory, metrics, clock

    async def record(
        self, model: str, messages: Sequence[outcome_pb2.Outcome], reach: timedelta, client: str
    ) -> tuple[list[Result], list[FieldViolation]]:
        """Record outcomes; return what became of each, and what was wrong with those that were rejected."""
        limits = convert.Limits(self._clock.now(), self._memory)
        results = [Result.REJECTED] * len(messages)
        taken: list[Told] = []
        places: list[int] = []
        rejections: list[FieldViolation] = []
        for first in range(0, len(messages), TURN_OUTCOMES):
            turn = messages[first : first + TURN_OUTCOMES]
            for place, one in enumerate(convert.told(turn, first, reach, limits), first):
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
        self._metrics.told(results)
        return results, rejections

    async def of_prediction(self, model: str, prediction_id: UUID) -> list[tuple[Key, Record, list[Record]]]:
        """Return what is recorded of a prediction, and what that corrected."""
        return await self._store.of_prediction(model, prediction_id)
