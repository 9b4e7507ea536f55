"""Schedules between messages and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from headrace.scorer.v1 import schedules_pb2 as pb
from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.request_fields import optional_id
from headrace_servicekit.resource_names import ids

from headrace_scorer.answers import to_spec
from headrace_scorer.convert import spec_of
from headrace_scorer.decisions import cron
from headrace_scorer.decisions.schedules import Schedule
from headrace_scorer.scheduling.store import Decision

LONGEST_START = timedelta(days=7)
DEFAULT_START = timedelta(hours=1)


def schedule_name(text: str, field: str) -> tuple[str, str]:
    """Return model and id of a schedule's name. Raises InvalidArgument."""
    of_model, id_ = ids(text, field, "models/{model}/scoringSchedules/{schedule}")
    return of_model, id_


def model(text: str) -> str:
    """Return the id of a model; empty for every one. Raises InvalidArgument."""
    return optional_id(text.removeprefix("models/"), "model")


def schedule(proto: pb.ScoringSchedule, client: str, wrong: list[FieldViolation]) -> Schedule:
    """Return a schedule; what cannot be is added to `wrong`. Raises InvalidArgument for its name and its spec."""
    of_model, id_ = schedule_name(proto.name, "schedule.name")
    zone = proto.time_zone or "UTC"
    try:
        cron.check(proto.cron, zone)
    except cron.Unfit as error:
        field = "time_zone" if "time zone" in str(error) else "cron"
        wrong.append(FieldViolation(f"schedule.{field}", str(error)))
    start = DEFAULT_START
    if proto.HasField("start_within"):
        seconds = max(-1, min(proto.start_within.seconds, 10**9))
        start = timedelta(seconds=seconds)
        if not timedelta(0) < start <= LONGEST_START:
            wrong.append(FieldViolation("schedule.start_within", f"must be 1 s to {LONGEST_START.days} days"))
    return Schedule(
        id=id_,
        model=of_model,
        cron=proto.cron,
        zone=zone,
        spec=spec_of(proto.spec, "schedule.spec"),
        client=client,
        start_within=start,
        paused=proto.paused,
    )


def to_schedule(one: Schedule, next_time: datetime | None, decisions: Sequence[Decision]) -> pb.ScoringSchedule:
    """Return a schedule."""
    message = pb.ScoringSchedule(
        name=one.name,
        cron=one.cron,
        time_zone=one.zone,
        spec=to_spec(one.spec),
        paused=one.paused,
        last_job=_job(one.model, one.last_job),
        jobs_created=one.created,
        times_skipped=one.skipped,
        decisions=list(_decisions(one.model, decisions)),
        client=one.client,
    )
    message.start_within.FromTimedelta(one.start_within)
    if next_time is not None:
        message.next_time.FromDatetime(next_time)
    if one.last_time is not None:
        message.last_time.FromDatetime(one.last_time)
    return message


def _decisions(of_model: str, decisions: Sequence[Decision]) -> Iterable[pb.ScoringSchedule.Decision]:
    for one in decisions:
        message = pb.ScoringSchedule.Decision(
            job=_job(of_model, one.job), skipped=one.skipped, reason=one.reason
        )  # fmt: skip
        message.time.FromDatetime(one.time)
        if one.create_time is not None:
            message.create_time.FromDatetime(one.create_time)
        yield message


def _job(of_model: str, job: int | None) -> str:
    return f"models/{of_model}/scoringJobs/{job}" if job is not None else ""
