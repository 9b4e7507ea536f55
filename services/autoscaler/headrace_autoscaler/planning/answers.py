"""From answers of planning processes to messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.autoscaler.v1 import planning_pb2

from headrace_autoscaler.planning.jobs import Answer, Idle, Point, Result
from headrace_autoscaler.policies.convert import to_message
from headrace_autoscaler.policies.declared import DeclaredPolicy
from headrace_autoscaler.times import duration


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
