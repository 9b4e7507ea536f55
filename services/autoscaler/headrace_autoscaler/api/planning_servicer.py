"""PlanningService: convert, run, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from headrace.autoscaler.v1 import planning_pb2, planning_pb2_grpc
from headrace_scaling.advice import learning_s
from headrace_scaling.decisions.observations import Metric, Observation
from headrace_scaling.documents import from_json
from headrace_scaling.simulation.traces import Trace
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, Unavailable
from headrace_servicekit.loops import until
from headrace_servicekit.resource_names import invalid

from headrace_autoscaler import times
from headrace_autoscaler.names import pool_of
from headrace_autoscaler.planning import answers, requests
from headrace_autoscaler.planning.jobs import Answer, Job, PackedTrace, Result
from headrace_autoscaler.planning.planner import Planner
from headrace_autoscaler.planning.requests import Measured
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.values import DemandMinute

_SPAN = timedelta(days=14)
_DEMAND = Metric.REQUESTS_PER_S


class PlanningServicer(planning_pb2_grpc.PlanningServiceServicer):
    """PlanningService over the store and the planner. stopping: ends the streams."""

    def __init__(self, decisions: Decisions, planner: Planner, clock: Clock, stopping: asyncio.Event) -> None:
        self._decisions, self._planner, self._clock, self._stopping = decisions, planner, clock, stopping

    async def Simulate(self, request, context):
        trace, skip_s, measured = await self._trace(request)
        setup = requests.setup_of(request.service, request.seed, measured)
        policies = requests.named_policies(request.policies)
        step_s = requests.step_s(request, trace.seconds - skip_s)
        job = Job(PackedTrace.of(trace), setup, policies, skip_s, step_s)
        answered: Any = self._answers(job)
        async with aclosing(answered) as said:
            async for answer in said:
                if answer.result is not None:
                    yield planning_pb2.SimulateResponse(result=answers.result(answer.result))
                else:
                    yield planning_pb2.SimulateResponse(progress=answers.progress(answer))

    async def Advise(self, request, context):
        pool = pool_of(request.name, "name")
        minutes = await self._history(pool, request)
        allowed = requests.finite(request.allowed_share, "allowed_share") or 0.01
        measured = await self._measured(pool, minutes[0].minute, minutes[-1].minute)
        setup = requests.setup_of(request.service, 1, measured)
        trace = requests.recorded(pool, minutes)
        judged = [one for one in minutes if one.minute.timestamp() >= trace.start + learning_s(trace.seconds)]
        ready = [one.ready for one in judged]
        replicas = max(1, round(max(ready, default=1.0)))
        hours = sum(ready) / 60.0 if ready else None
        job = Job(PackedTrace.of(trace), setup, (), replicas=replicas, ready_hours=hours, allowed=allowed)
        proposals: list[Result] = []
        answered: Any = self._answers(job)
        async with aclosing(answered) as said:
            async for answer in said:
                if answer.result is not None:
                    proposals.append(answer.result)
                elif answer.idle is not None:
                    yield planning_pb2.AdviseResponse(advice=answers.advice(pool, proposals, answer, allowed))
                else:
                    yield planning_pb2.AdviseResponse(progress=answers.progress(answer))

    async def _answers(self, job: Job) -> AsyncIterator[Answer]:
        running: Any = until(self._stopping, self._planner.answers(job))
        async with aclosing(running) as said:
            async for answer in said:
                yield answer
        if self._stopping.is_set():
            raise Unavailable("the autoscaler is stopping: ask again", reason="STOPPING", retry_after_s=0.5)

    async def _trace(self, request: Any) -> tuple[Trace, int, Measured]:
        """Return the requests, how much of them is history only, and what was measured of the pool."""
        match request.WhichOneof("trace"):
            case "counted":
                return *requests.counted(request.counted), Measured()
            case "generated":
                return requests.generated(request.generated, abs(request.seed)), 0, Measured()
            case "history":
                pool = pool_of(request.history.name, "history.name")
                minutes = await self._history(pool, request.history, "history.")
                trace = requests.recorded(pool, minutes)
                return trace, trace.seconds // 2, await self._measured(pool, minutes[0].minute, minutes[-1].minute)
        raise invalid("trace", "is needed: history, counted or generated")

    async def _history(self, pool: str, span: Any, within: str = "") -> list[DemandMinute]:
        start, end = times.span_of(span, self._clock.now(), _SPAN, within)
        minutes = await self._decisions.history(pool, _DEMAND, start, end)
        if not minutes:
            raise NotFound(f"nothing is known of what pool '{pool}' was asked in that time", reason="NO_HISTORY")
        return minutes

    async def _measured(self, pool: str, start: datetime, end: datetime) -> Measured:
        """Return what is known of the pool's last start and of its executions."""
        latest = await self._decisions.find(pool, None)
        observation = None if latest is None else from_json(Observation, latest.observation)
        load_s = None if observation is None else observation.load_time_s
        variation = None if observation is None else observation.variation
        busy = await self._decisions.history(pool, Metric.BUSY_REPLICAS, start, end)
        asked = await self._decisions.history(pool, _DEMAND, start, end)
        replicas, rate = sum(one.mean for one in busy), sum(one.mean for one in asked)
        return Measured(() if load_s is None else (load_s,), rate / replicas if replicas else None, variation)
