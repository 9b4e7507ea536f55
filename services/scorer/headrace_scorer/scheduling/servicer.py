"""ScoringScheduleService: convert, call, convert."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from headrace.scorer.v1 import schedules_pb2 as pb
from headrace.scorer.v1 import schedules_pb2_grpc
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.identity import identity, model_not_found

from headrace_scorer.creation import Creating
from headrace_scorer.decisions import schedules
from headrace_scorer.decisions.schedules import Schedule
from headrace_scorer.scheduling import convert
from headrace_scorer.scheduling.store import ScheduleStore
from headrace_scorer.store import Request

DECISIONS_SHOWN = 20


class ScheduleServicer(schedules_pb2_grpc.ScoringScheduleServiceServicer):
    """Answers over a store."""

    def __init__(self, store: ScheduleStore, creating: Creating) -> None:
        self._store, self._creating = store, creating

    async def PutScoringSchedule(self, request, context):
        wrong: list[FieldViolation] = []
        wanted = convert.schedule(request.schedule, identity().client, wrong)
        refuse(wrong)
        await self._creating.create(wanted.model, wanted.spec, Request(wanted.client, "", b""), validate_only=True)

        def put(before: Schedule, now: datetime) -> Schedule:
            same = (before.cron, before.zone) == (wanted.cron, wanted.zone)
            return replace(
                wanted,
                last_time=before.last_time if same else now,
                last_job=before.last_job,
                created=before.created,
                skipped=before.skipped,
            )

        stored = await self._store.put(wanted, put, identity())
        return pb.PutScoringScheduleResponse(schedule=await self._shown(stored, await self._store.now()))

    async def GetScoringSchedule(self, request, context):
        schedule, now = await self._store.schedule(*convert.schedule_name(request.name, "name"))
        return pb.GetScoringScheduleResponse(schedule=await self._shown(schedule, now))

    async def ListScoringSchedules(self, request, context):
        model, caller = convert.model(request.model), identity()
        if model and not caller.sees(model):
            raise model_not_found(model)
        now = await self._store.now()
        found = [one for one, _ in await self._store.schedules(model) if caller.sees(one.model)]
        return pb.ListScoringSchedulesResponse(
            schedules=[convert.to_schedule(one, schedules.next_time(one, now), ()) for one in found]
        )

    async def PauseScoringSchedule(self, request, context):
        schedule = await self._paused(request.name, paused=True)
        return pb.PauseScoringScheduleResponse(schedule=schedule)

    async def ResumeScoringSchedule(self, request, context):
        schedule = await self._paused(request.name, paused=False)
        return pb.ResumeScoringScheduleResponse(schedule=schedule)

    async def DeleteScoringSchedule(self, request, context):
        await self._store.delete(*convert.schedule_name(request.name, "name"))
        return pb.DeleteScoringScheduleResponse()

    async def _paused(self, name: str, *, paused: bool) -> pb.ScoringSchedule:
        def decide(one: Schedule, now: datetime) -> Schedule:
            if one.paused == paused:
                return one
            # What passed during a pause is not made up for.
            begins = one.last_time if paused else max(now, one.last_time or now)
            return replace(one, paused=paused, last_time=begins)

        schedule = await self._store.change(*convert.schedule_name(name, "name"), decide)
        return await self._shown(schedule, await self._store.now())

    async def _shown(self, schedule: Schedule, now: datetime) -> pb.ScoringSchedule:
        decisions = await self._store.decisions(schedule, DECISIONS_SHOWN)
        return convert.to_schedule(schedule, schedules.next_time(schedule, now), decisions)
