"""PlanningService: convert, run, convert."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
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
from headrace_autoscaler.planning import requests
from headrace_autoscaler.planning.jobs import Answer, Idle, Job, PackedTrace, Point, Result
from headrace_autoscaler.planning.planner import Planner
from headrace_autoscaler.planning.requests import Measured
from headrace_autoscaler.policies.convert import to_message
from headrace_autoscaler.policies.declared import DeclaredPolicy
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.values import DemandMinute
from headrace_autoscaler.times import duration

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
                    yield planning_pb2.SimulateResponse(result=result(answer.result))
                else:
                    yield planning_pb2.SimulateResponse(progress=progress(answer))

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
                    yield planning_pb2.AdviseResponse(advice=advice(pool, proposals, answer, allowed))
                else:
                    yield planning_pb2.AdviseResponse(progress=progress(answer))

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


def progress(answer: Answer) -> planning_pb2.Progress:
    """Return the message of a job's progress."""
    return planning_pb2.Progress(done=answer.done, step=answer.step)


def result(found: Result) -> planning_pb2.SimulationResult:
    """Return what one policy did."""
    message = planning_pb2.SimulationResult(
        policy=found.name,
        requests=found.requests,
        violating_share=found.violations,
        replica_hours=found.replica_hours,
        cost=found.cost,
        scale_events=found.changes,
        direction_changes=found.turns,
        peak_replicas=found.most_replicas,
        series=[_point(point) for point in found.points],
    )
    message.wait_p99.CopyFrom(duration(found.wait_p99_s))
    return message


def advice(pool: str, proposals: list[Result], end: Answer, allowed: float) -> planning_pb2.Advice:
    """Return the advice: the proposals, the recommended one first, what there is today, and what stood idle."""
    message = planning_pb2.Advice(sentences=_sentences(proposals[0], end, allowed))
    for one in proposals:
        assert one.policy is not None
        message.proposals.add(policy=to_message(pool, DeclaredPolicy(one.policy, "headrace")), result=result(one))
    if end.today is not None:
        message.present.CopyFrom(result(end.today))
    if end.idle is not None:
        message.idle.CopyFrom(
            planning_pb2.IdleReport(
                replica_hours=end.idle.hours,
                idle_replica_hours=end.idle.idle_hours,
                suggested_replicas=end.idle.fixed,
                saved_per_month=end.idle.saved_a_month,
            )
        )
    return message


def _sentences(chosen: Result, end: Answer, allowed: float) -> list[str]:
    assert chosen.policy is not None
    aim = f"Aim at {chosen.policy.demand.value:,.4g} of {chosen.policy.demand.metric} for each replica"
    missed = f"it would have missed {chosen.violations:.3%} with {chosen.replica_hours:,.1f} replica-hours."
    sentences = [f"{aim}: {missed}"]
    if not end.met:
        sentences.append(
            f"Nothing that was tried keeps {allowed:.2%}: more replicas or shorter cold starts would help."
        )
    if end.idle is not None:
        sentences.append(_idle_sentence(end.idle))
    return sentences


def _idle_sentence(idle: Idle) -> str:
    share = idle.idle_hours / idle.hours if idle.hours else 0.0
    return (
        f"Of {idle.hours:,.0f} replica-hours, {idle.idle_hours:,.0f} ({share:.0%}) were without work; "
        f"{idle.fixed} replicas would have been enough without scaling."
    )


def _point(point: Point) -> planning_pb2.SimulationPoint:
    message = planning_pb2.SimulationPoint(
        requests_per_second=point.demand,
        ready=point.ready,
        desired=point.asked_for,
        violating_share=min(1.0, point.broken / point.demand) if point.demand else 0.0,
    )
    stamp = Timestamp()
    stamp.FromNanoseconds(round(point.time * 1e9))
    message.time.CopyFrom(stamp)
    return message
