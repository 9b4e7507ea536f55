"""Scoring jobs that are created again and again."""

from __future__ import annotations

from headrace.scorer.v1 import schedules_pb2 as pb
from headrace_client.calls import Operation, Session, invoke

DEFAULT_TIMEOUT_S = 30.0


def put_scoring_schedule(
    session: Session, schedule: pb.ScoringSchedule, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringSchedule]:
    """Make a schedule, or replace the one of its name. Raises InvalidArgument naming each field that is wrong."""
    request = pb.PutScoringScheduleRequest(schedule=schedule)
    return (yield from invoke(session, pb.PutScoringScheduleResponse, request, timeout_s=timeout)).schedule


def get_scoring_schedule(
    session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringSchedule]:
    """Return a schedule and its recent runs. Raises NotFound, reason SCHEDULE_NOT_FOUND."""
    request = pb.GetScoringScheduleRequest(name=name)
    return (yield from invoke(session, pb.GetScoringScheduleResponse, request, timeout_s=timeout)).schedule


def list_scoring_schedules(
    session: Session, *, model: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[pb.ScoringSchedule]]:
    """Return schedules by name. model: empty for every one."""
    request = pb.ListScoringSchedulesRequest(model=model)
    answer = yield from invoke(session, pb.ListScoringSchedulesResponse, request, timeout_s=timeout)
    return list(answer.schedules)


def pause_scoring_schedule(
    session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringSchedule]:
    """Create no jobs until it is resumed. Raises NotFound."""
    request = pb.PauseScoringScheduleRequest(name=name)
    return (yield from invoke(session, pb.PauseScoringScheduleResponse, request, timeout_s=timeout)).schedule


def resume_scoring_schedule(
    session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[pb.ScoringSchedule]:
    """End a pause. Raises NotFound."""
    request = pb.ResumeScoringScheduleRequest(name=name)
    return (yield from invoke(session, pb.ResumeScoringScheduleResponse, request, timeout_s=timeout)).schedule


def delete_scoring_schedule(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a schedule; its jobs stay."""
    request = pb.DeleteScoringScheduleRequest(name=name)
    yield from invoke(session, pb.DeleteScoringScheduleResponse, request, timeout_s=timeout)
