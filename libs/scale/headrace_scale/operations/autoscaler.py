"""How pools are scaled: their policies, what was decided and why, and how to hold them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.autoscaler.v1 import autoscaler_pb2, planning_pb2, policy_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import Unavailable
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0


def list_pools(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[autoscaler_pb2.Pool]]:
    """Return the pools that have a policy, by name."""
    request = autoscaler_pb2.ListPoolsRequest()
    return (yield from list_all(session, autoscaler_pb2.ListPoolsResponse, request, "pools", timeout_s=timeout))


def get_policy(
    session: Session, pool: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[policy_pb2.ScalingPolicy]:
    """Return the policy of a pool, every field filled in."""
    request = autoscaler_pb2.GetPolicyRequest(name=f"{_pool(pool)}/policy")
    return (yield from invoke(session, autoscaler_pb2.GetPolicyResponse, request, timeout_s=timeout)).policy


def put_policy(
    session: Session, policy: policy_pb2.ScalingPolicy, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[policy_pb2.ScalingPolicy]:
    """Give the pool in the policy's name that policy; return what is in force."""
    request = autoscaler_pb2.PutPolicyRequest(policy=policy)
    return (yield from invoke(session, autoscaler_pb2.PutPolicyResponse, request, timeout_s=timeout)).policy


def dry_run_policy(
    session: Session, policy: policy_pb2.ScalingPolicy, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[autoscaler_pb2.DryRunPolicyResponse]:
    """Return what a policy would decide of its pool now."""
    request = autoscaler_pb2.DryRunPolicyRequest(policy=policy)
    return (yield from invoke(session, autoscaler_pb2.DryRunPolicyResponse, request, timeout_s=timeout))


def delete_policy(
    session: Session, pool: str, *, etag: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[None]:
    """Take the policy of a pool away: it keeps the replicas that it has."""
    request = autoscaler_pb2.DeletePolicyRequest(name=f"{_pool(pool)}/policy", etag=etag)
    yield from invoke(session, autoscaler_pb2.DeletePolicyResponse, request, timeout_s=timeout)


def pause_pool(
    session: Session, pool: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[autoscaler_pb2.Pool]:
    """Hold a pool at the replicas that it has."""
    request = autoscaler_pb2.PausePoolRequest(name=_pool(pool), reason=reason)
    return (yield from invoke(session, autoscaler_pb2.PausePoolResponse, request, timeout_s=timeout)).pool


def resume_pool(session: Session, pool: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[autoscaler_pb2.Pool]:
    """Let a pool be scaled again."""
    request = autoscaler_pb2.ResumePoolRequest(name=_pool(pool))
    return (yield from invoke(session, autoscaler_pb2.ResumePoolResponse, request, timeout_s=timeout)).pool


def advise_pool(
    session: Session,
    pool: str,
    *,
    service: planning_pb2.ServiceModel | None = None,
    allowed: float = 0.0,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Callable[[float, str], None] | None = None,
    timeout: float = 900.0,
) -> Operation[planning_pb2.Advice]:
    """Return what a pool's own history suggests: targets and floors with what they would have cost and missed.

    service: what serves; unset fields are as measured. allowed: share of requests that may break the objective; 0 means
    0.01. start, end: of the history; two weeks until now by default.
    """
    request = planning_pb2.AdviseRequest(name=_pool(pool), service=service, allowed_share=allowed)
    if start is not None:
        request.start_time.FromDatetime(start)
    if end is not None:
        request.end_time.FromDatetime(end)
    found: list[planning_pb2.Advice] = []

    def received(answer: planning_pb2.AdviseResponse) -> None:
        if answer.HasField("advice"):
            found.append(answer.advice)
        elif progress is not None:
            progress(answer.progress.done, answer.progress.step)

    yield from invoke(session, planning_pb2.AdviseResponse, request, timeout_s=timeout, listen=lambda: received)
    if not found:
        raise Unavailable("the advice ended before it was whole: ask again", reason="STREAM_BROKEN")
    return found[-1]


def watch_pool(
    session: Session, pool: str, received: Callable[[Any], None], *, timeout: float = 3600.0
) -> Operation[None]:
    """Give `received` how a pool is, then again after each decision and each outcome, until the timeout."""
    request = autoscaler_pb2.WatchPoolRequest(name=_pool(pool))
    yield from invoke(
        session, autoscaler_pb2.WatchPoolResponse, request, timeout_s=timeout, idempotent=False, listen=lambda: received
    )


def list_decisions(
    session: Session,
    pool: str,
    *,
    only_changes: bool = False,
    since: datetime | None = None,
    limit: int | None = 50,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[autoscaler_pb2.Decision]]:
    """Return decisions on a pool, the latest first; only_changes: those that want something else or acted."""
    start = None
    if since is not None:
        start = Timestamp()
        start.FromDatetime(since)
    request = autoscaler_pb2.ListDecisionsRequest(parent=_pool(pool), only_changes=only_changes, start_time=start)
    return (
        yield from list_all(
            session, autoscaler_pb2.ListDecisionsResponse, request, "decisions", timeout_s=timeout, limit=limit
        )
    )


def explain_decision(
    session: Session, pool: str, number: str = "latest", *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[autoscaler_pb2.ExplainDecisionResponse]:
    """Return a decision with everything that it was made from, and the policy that decided."""
    name = number if "/" in number else f"{_pool(pool)}/decisions/{number}"
    request = autoscaler_pb2.ExplainDecisionRequest(name=name)
    return (yield from invoke(session, autoscaler_pb2.ExplainDecisionResponse, request, timeout_s=timeout))


def replay_pool(
    session: Session,
    pool: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    policy: policy_pb2.ScalingPolicy | None = None,
    limit: int = 10_000,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[autoscaler_pb2.ReplayResponse]]:
    """Return recorded decisions on a pool, each beside what would be decided now of what was observed then.

    policy: in the place of those that were in force. start, end: an hour until now by default. limit: the first ones.
    Raises NotFound, reason NO_DECISIONS, and InvalidArgument for a policy.
    """
    request = autoscaler_pb2.ReplayRequest(name=_pool(pool), policy=policy)
    if start is not None:
        request.start_time.FromDatetime(start)
    if end is not None:
        request.end_time.FromDatetime(end)
    found: list[autoscaler_pb2.ReplayResponse] = []

    def listen() -> Callable[[Any], None]:
        found.clear()
        return lambda one: found.append(one) if len(found) < limit else None

    yield from invoke(session, autoscaler_pb2.ReplayResponse, request, timeout_s=timeout, listen=listen)
    return found


def _pool(pool: str) -> str:
    return f"pools/{pool.removeprefix('pools/')}"
