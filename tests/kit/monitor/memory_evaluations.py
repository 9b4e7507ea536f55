"""Drift evaluations in memory, for tests of what uses them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

from headrace.monitor.v1 import monitor_pb2
from headrace_monitor.alert.observations import Observation
from headrace_monitor.judge.drift import convert
from headrace_monitor.judge.drift.decisions.evaluation import DriftEvaluation, observations
from headrace_monitor.judge.drift.store import MAX_PAGE_BYTES, MIN_CALM_ROWS, DueWindow, Page


class MemoryEvaluations:
    """Implements EvaluationStore. windows: those that there are, of every reference. observations: for alert rules."""

    def __init__(self) -> None:
        self.windows: list[DueWindow] = []
        self.observations: list[Observation] = []
        self._numbers = count(1)
        self._stored: dict[int, DriftEvaluation] = {}

    async def due(self, seconds: int, ended_by: datetime, ended_after: datetime, *, limit: int) -> list[DueWindow]:
        current: dict[tuple[str, str], int] = {}
        for one in self.windows:
            current[one.model, one.version] = max(one.reference, current.get((one.model, one.version), 0))
        evaluated = {(one.model, one.version, one.start, one.end) for one in self._stored.values()}
        found = {
            one
            for one in self.windows
            if one.reference == current[one.model, one.version]
            and one.end - one.start == timedelta(seconds=seconds)
            and ended_after < one.end <= ended_by
            and (one.model, one.version, one.start, one.end) not in evaluated
        }
        return sorted(found, key=lambda one: (one.end, one.model, one.version))[:limit]

    async def add(self, evaluation: DriftEvaluation) -> bool:
        place = (evaluation.model, evaluation.version, evaluation.start, evaluation.end)
        if any((one.model, one.version, one.start, one.end) == place for one in self._stored.values()):
            return False
        self._stored[next(self._numbers)] = evaluation
        self.observations += observations(evaluation)
        return True

    async def page(self, model: str, version: str, below: int | None, size: int) -> Page:
        page: list[tuple[int, monitor_pb2.Drift]] = []
        left = MAX_PAGE_BYTES
        for number, one in self._latest(model, version):
            if below is not None and number >= below:
                continue
            report = convert.drift(one)
            left -= report.ByteSize()
            if len(page) == size or (page and left < 0):
                return page, True
            page.append((number, report))
        return page, False

    async def last_without_alarm(
        self, model: str, version: str, reference: int, before: datetime
    ) -> tuple[datetime, datetime] | None:
        calm = [
            one
            for _, one in self._latest(model, version)
            if one.reference == reference and not one.severity and one.rows >= MIN_CALM_ROWS and one.end <= before
        ]
        last = max(calm, key=lambda one: one.end, default=None)
        return None if last is None else (last.start, last.end)

    async def expire(self, before: datetime) -> None:
        self._stored = {number: one for number, one in self._stored.items() if one.end >= before}

    def _latest(self, model: str, version: str) -> Iterator[tuple[int, DriftEvaluation]]:
        """Yield the evaluations of a version, the latest first."""
        for number in sorted(self._stored, reverse=True):
            one = self._stored[number]
            if (one.model, one.version) == (model, version):
                yield number, one
