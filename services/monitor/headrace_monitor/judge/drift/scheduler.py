"""Evaluate each window of each version once for drift, on whichever replica."""

from __future__ import annotations

import structlog
from headrace_servicekit.clock import Clock
from headrace_statistics.severity import Severity
from prometheus_client import CollectorRegistry, Counter

from headrace_monitor.judge.drift.decisions.evaluation import CATCH_UP, Schedule, is_due
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.store import DueWindow, EvaluationStore
from headrace_monitor.judge.references.store import References
from headrace_monitor.judge.windows.store import WindowStore

log = structlog.get_logger()

AT_ONCE = 100


class DriftMetrics:
    """Metrics of scheduled drift evaluations."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._evaluations = Counter(
            "monitor_drift_evaluations", "Scheduled drift evaluations, by severity.", ("severity",), registry=registry
        )

    def evaluated(self, severity: Severity) -> None:
        """Count an evaluation."""
        self._evaluations.labels(severity.name.lower()).inc()


class Scheduler:
    """Makes the evaluations that are due. If two replicas make the same one, the first that is stored counts."""

    def __init__(
        self,
        evaluator: DriftEvaluator,
        evaluations: EvaluationStore,
        windows: WindowStore,
        references: References,
        schedule: Schedule,
        clock: Clock,
        metrics: DriftMetrics,
    ) -> None:
        self._evaluator, self._evaluations, self._windows, self._references = (
            evaluator,
            evaluations,
            windows,
            references,
        )
        self._schedule, self._clock, self._metrics = schedule, clock, metrics

    async def step(self) -> None:
        """Evaluate the windows that are due, in the order of their ends. Raises Unavailable."""
        now = self._clock.now()
        ended_by, ended_after = now - self._schedule.settle, now - CATCH_UP
        for due in await self._evaluations.due(self._schedule.seconds, ended_by, ended_after, limit=AT_ONCE):
            if await self._is_due(due):
                await self._evaluate(due)

    async def _is_due(self, due: DueWindow) -> bool:
        waiting = await self._windows.waiting(due.reference, due.model, due.version, due.start, due.end)
        return is_due(due.end, self._clock.now(), waiting=waiting, schedule=self._schedule)

    async def _evaluate(self, due: DueWindow) -> None:
        reference = await self._references.get(due.reference)
        assert reference is not None  # it has windows
        evaluation = await self._evaluator.evaluate(reference, due.start, due.end, self._schedule.level)
        if not await self._evaluations.add(evaluation):
            return
        self._metrics.evaluated(evaluation.severity)
        if evaluation.alarms:
            worst = evaluation.alarms[0]
            log.warning(
                "drift found",
                model=evaluation.model,
                version=evaluation.version,
                column=worst.column,
                test=worst.test.value,
                severity=evaluation.severity.name,
                alarms=len(evaluation.alarms),
            )
