"""What computes answers, pipelines included: a work of a pipeline becomes the works of its steps, others go through.

All that is done with an answer (cache, single-flight, fallbacks, shadows, accounts) sees one work and one answer.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.batchers.work import Online, Work
from headrace_router.data.pipelines.decisions.schedule import choose, earliest_end_s
from headrace_router.data.pipelines.run import Run
from headrace_router.data.pipelines.surroundings import Prospects, RecordStep, StepCache, StepExecution
from headrace_router.data.pipelines.timetable import QUICKEST_S
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.served import PlannedStep, RecordedStep, ServedVersion

# Steps come from tables: few in practice, and bounded in any case.
MAX_SERIES = 4000
OTHER = ("other", "other", "other", "other")


class PipelineOnline:
    """Answers works of pipelines by those of their steps; a prometheus_client collector.

    queue_timeout_s: how long a request waits before its first step for members without a batcher at the moment. miss:
    hears of pools that lack one, and says after how long one that is being started answers. record: hears of what
    members compute, and must be quick; None where nothing is recorded. cache: of steps that declare one.
    """

    def __init__(
        self,
        online: Online,
        prospects: Prospects,
        budget: RetryBudget,
        *,
        max_rows: int,
        queue_timeout_s: float,
        miss: Callable[[str], float | None],
        record: RecordStep | None = None,
        cache: StepCache | None = None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.online, self.prospects, self.budget, self.loop = online, prospects, budget, loop
        self.max_rows, self.queue_timeout_s, self._miss = max_rows, queue_timeout_s, miss
        self._record, self.cache = record, cache
        self._runs: dict[Work, Run] = {}
        self._steps: Counter[tuple[str, str, str, str]] = Counter()
        self._seconds: defaultdict[tuple[str, str, str, str], float] = defaultdict(float)

    @property
    def in_flight(self) -> int:
        """Return how many works are at batchers."""
        return self.online.in_flight

    def submit(self, works: Iterable[Work]) -> None:
        """Settle the `answer` of each work, sooner or later."""
        plain = []
        for work in works:
            asked = work.pipeline
            if asked is None:
                plain.append(work)
            elif asked.served.pipeline is not None and not work.answer.done():
                run = self._runs[work] = Run(work, asked, asked.served.pipeline, self)
                run.begin()
        if plain:
            self.online.submit(plain)

    def withdraw(self, work: Work) -> None:
        """Stop caring about a work, and with it about every step."""
        run = self._runs.get(work)
        if run is not None:
            run.stop()
        elif work.pipeline is None:
            self.online.withdraw(work)

    def miss(self, pool: str) -> float | None:
        """Note that a pool has no batcher for a step; return after how long one that is being started answers."""
        return self._miss(pool)

    def ended(self, work: Work) -> None:
        """Forget the run of a work."""
        self._runs.pop(work, None)

    def record(self, step: RecordedStep, asked: ResolvedRequest, executed: StepExecution) -> None:
        """Note for the prediction log what a member computed for a request."""
        if self._record is not None:
            self._record(step, asked, executed)

    def count(self, step: PlannedStep, work: Work, outcome: str, took_s: float) -> None:
        """Count the execution of a step."""
        asked = work.pipeline
        model = asked.served.model if asked is not None else ""
        key = (model, step.name, f"{step.served.model}/{step.served.version}", outcome)
        key = key if key in self._steps or len(self._steps) < MAX_SERIES else OTHER
        self._steps[key] += 1
        self._seconds[key] += took_s

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        names = ("model", "step", "member", "code")
        steps = CounterMetricFamily("headrace_router_pipeline_steps", "Attempts at steps of pipelines.", labels=names)
        seconds = CounterMetricFamily(
            "headrace_router_pipeline_step_seconds", "Time that they took, with their waits.", labels=names
        )
        for key, count in self._steps.items():
            steps.add_metric(key, count)
            seconds.add_metric(key, self._seconds[key])
        yield from (steps, seconds)
        yield GaugeMetricFamily("headrace_router_pipelines_running", "Requests to pipelines.", value=len(self._runs))


class Servers(Prospects, Protocol):
    """What is known of those who compute answers."""

    def serves(self, pool: str, digest: str) -> bool:
        """Return whether a batcher of the pool has the version ready."""
        ...


class PipelineProspects:
    """What may be expected of versions, pipelines included."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def needs_s(self, pool: str, served: ServedVersion, attributes: Mapping[str, str]) -> float:
        """Return how long an answer probably takes, infinite when no batcher can give one.

        attributes: of the request, by which a pipeline may switch.
        """
        plan = served.pipeline
        if plan is None:
            return self._servers.needs_s(pool, served.digest)
        needs_s = [max(self._servers.needs_s(step.pool or pool, step.served.digest), QUICKEST_S) for step in plan.steps]
        return earliest_end_s(choose(plan, (), attributes), needs_s)

    def renews(self, pool: str, served: ServedVersion) -> bool:
        """Return whether one request may measure again how long an answer takes."""
        plan = served.pipeline
        if plan is None:
            return self._servers.renews(pool, served.digest)
        return any(self._servers.renews(step.pool or pool, step.served.digest) for step in plan.steps)

    def serves(self, pool: str, served: ServedVersion) -> bool:
        """Return whether batchers have the version ready: of a pipeline, as many members as an answer needs."""
        plan = served.pipeline
        if plan is None:
            return self._servers.serves(pool, served.digest)
        needs_s = [
            0.0 if self._servers.serves(step.pool or pool, step.served.digest) else math.inf for step in plan.steps
        ]
        return earliest_end_s(choose(plan, (), {}), needs_s) < math.inf
