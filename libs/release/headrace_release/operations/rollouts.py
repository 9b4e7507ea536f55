"""Rollouts: changing the version that serves, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from headrace.rollout.v1 import rollout_pb2
from headrace.webhook.v1.webhook_pb2 import Webhook
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import NotFound
from headrace_client.operations.list_pages import list_all

DEFAULT_TIMEOUT_S = 30.0
# The data are looked at, and a route is written.
CONCLUSION_TIMEOUT_S = 120.0


def plan_rollout(
    session: Session,
    model: str,
    version: str,
    *,
    variant: str = "",
    policy: rollout_pb2.RolloutPolicy | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[rollout_pb2.PlanRolloutResponse]:
    """Return the plan of a start, and its blockers. policy: None for the template of the model."""
    request = rollout_pb2.PlanRolloutRequest(parent=f"models/{model}", version=version, variant=variant, policy=policy)
    return (yield from invoke(session, rollout_pb2.PlanRolloutResponse, request, timeout_s=timeout))


def start_rollout(
    session: Session,
    model: str,
    version: str,
    *,
    variant: str = "",
    policy: rollout_pb2.RolloutPolicy | None = None,
    reason: str = "",
    request_id: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[rollout_pb2.Rollout]:
    """Begin to roll a version out. policy: None for the template of the model.

    Raises InvalidArgument naming the field, and PreconditionFailed for a blocker.
    """
    request = rollout_pb2.StartRolloutRequest(
        parent=f"models/{model}",
        version=version,
        variant=variant,
        policy=policy,
        reason=reason,
        request_id=request_id or str(uuid.uuid4()),
    )
    return (yield from invoke(session, rollout_pb2.StartRolloutResponse, request, timeout_s=timeout)).rollout


def get_rollout(
    session: Session, rollout: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.Rollout]:
    """Return a rollout. rollout: here and below its name, or a model, which means the latest one of that."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.GetRolloutRequest(name=name)
    return (yield from invoke(session, rollout_pb2.GetRolloutResponse, request, timeout_s=timeout)).rollout


def list_rollouts(
    session: Session,
    *,
    model: str = "",
    running: bool = False,
    limit: int | None = 50,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[list[rollout_pb2.Rollout]]:
    """Return rollouts, the latest first. running: only those that are not over."""
    request = rollout_pb2.ListRolloutsRequest(model=model, running=running)
    return (
        yield from list_all(
            session, rollout_pb2.ListRolloutsResponse, request, "rollouts", timeout_s=timeout, limit=limit
        )
    )


def pause_rollout(
    session: Session, rollout: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.Rollout]:
    """Stop growth until `resume_rollout`; the version is judged all the same."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.PauseRolloutRequest(name=name, reason=reason)
    return (yield from invoke(session, rollout_pb2.PauseRolloutResponse, request, timeout_s=timeout)).rollout


def resume_rollout(
    session: Session, rollout: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.Rollout]:
    """End a pause, or approve that a rollout continues."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.ResumeRolloutRequest(name=name, reason=reason)
    return (yield from invoke(session, rollout_pb2.ResumeRolloutResponse, request, timeout_s=timeout)).rollout


def promote_rollout(
    session: Session, rollout: str, *, reason: str, step: int | None = None, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.Rollout]:
    """Leave the present step, whatever the evidence. step: that it must be at; with it the call may be repeated."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.PromoteRolloutRequest(name=name, reason=reason, step=step)
    call = invoke(session, rollout_pb2.PromoteRolloutResponse, request, timeout_s=timeout, idempotent=step is not None)
    return (yield from call).rollout


def abort_rollout(
    session: Session, rollout: str, *, reason: str = "", timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.Rollout]:
    """Take the version back at once."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.AbortRolloutRequest(name=name, reason=reason)
    return (yield from invoke(session, rollout_pb2.AbortRolloutResponse, request, timeout_s=timeout)).rollout


def run_experiment(
    session: Session,
    model: str,
    experiment: str,
    weights: Mapping[str, float] | None = None,
    *,
    timeout: float = CONCLUSION_TIMEOUT_S,
) -> Operation[float]:
    """Give the variants of an experiment their shares, and start it or begin a phase; return the share of units that
    moved. weights: of all of them; None for those that it has. It manages the route from then on.
    """
    request = rollout_pb2.RunExperimentRequest(name=f"models/{model}/experiments/{experiment}", weights=weights or {})
    return (yield from invoke(session, rollout_pb2.RunExperimentResponse, request, timeout_s=timeout)).moved_share


def conclude_experiment(
    session: Session,
    model: str,
    experiment: str,
    *,
    promote: str = "",
    anyway: bool = False,
    policy: rollout_pb2.RolloutPolicy | None = None,
    reason: str = "",
    keep_route: bool = False,
    timeout: float = CONCLUSION_TIMEOUT_S,
) -> Operation[rollout_pb2.ConcludeExperimentResponse]:
    """End an experiment and give its traffic back to the control. promote: variant whose version is rolled out then.
    keep_route: leave the shares of the route as they are.

    Raises PreconditionFailed where the data do not say that it is better, unless `anyway`, and as `start_rollout`.
    """
    request = rollout_pb2.ConcludeExperimentRequest(
        name=f"models/{model}/experiments/{experiment}", promote=promote, anyway=anyway, policy=policy, reason=reason
    )
    request.keep_route = keep_route
    return (yield from invoke(session, rollout_pb2.ConcludeExperimentResponse, request, timeout_s=timeout))


def rollout_history(
    session: Session, rollout: str, *, limit: int | None = 100, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[rollout_pb2.RolloutEvent]]:
    """Return what happened, the latest first."""
    name = yield from _named(session, rollout, timeout)
    request = rollout_pb2.ListRolloutEventsRequest(parent=name)
    found = list_all(session, rollout_pb2.ListRolloutEventsResponse, request, "events", timeout_s=timeout, limit=limit)
    return (yield from found)


def watch_rollout(
    session: Session, rollout: str, received: Callable[[Any], None], *, timeout: float = 3600.0
) -> Operation[None]:
    """Give `received` a WatchRolloutResponse now and at every change, until the rollout is over."""
    name = yield from _named(session, rollout, DEFAULT_TIMEOUT_S)
    request = rollout_pb2.WatchRolloutRequest(name=name)
    yield from invoke(session, rollout_pb2.WatchRolloutResponse, request, timeout_s=timeout, listen=lambda: received)


def get_rollout_template(
    session: Session, model: str, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[rollout_pb2.RolloutPolicy]:
    """Return the policy of rollouts that are started without one."""
    request = rollout_pb2.GetRolloutTemplateRequest(parent=f"models/{model}")
    return (yield from invoke(session, rollout_pb2.GetRolloutTemplateResponse, request, timeout_s=timeout)).policy


def put_rollout_template(
    session: Session,
    model: str,
    policy: rollout_pb2.RolloutPolicy | None,
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[rollout_pb2.RolloutPolicy]:
    """Set that policy; None for what is so without one."""
    request = rollout_pb2.PutRolloutTemplateRequest(parent=f"models/{model}", policy=policy)
    return (yield from invoke(session, rollout_pb2.PutRolloutTemplateResponse, request, timeout_s=timeout)).policy


def _named(session: Session, rollout: str, timeout_s: float) -> Operation[str]:
    """Return the name of a rollout: as given, `MODEL/ID`, or the latest one of a model."""
    if rollout.startswith("models/"):
        return rollout
    model, _, number = rollout.partition("/")
    if number:
        return f"models/{model}/rollouts/{number}"
    found = yield from list_rollouts(session, model=model, limit=1, timeout=timeout_s)
    if not found:
        raise NotFound(f"model '{model}' has no rollout yet", reason="ROLLOUT_NOT_FOUND")
    return found[0].name


def put_rollout_webhook(
    session: Session, webhook: Webhook, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[Webhook]:
    """Make a webhook for events of rollouts, or replace the one of its name. Without a secret the old one stays."""
    request = rollout_pb2.PutRolloutWebhookRequest(webhook=webhook)
    return (yield from invoke(session, rollout_pb2.PutRolloutWebhookResponse, request, timeout_s=timeout)).webhook


def list_rollout_webhooks(session: Session, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[list[Webhook]]:
    """Return the webhooks of rollouts, and how deliveries go."""
    request = rollout_pb2.ListRolloutWebhooksRequest()
    return list(
        (yield from invoke(session, rollout_pb2.ListRolloutWebhooksResponse, request, timeout_s=timeout)).webhooks
    )


def delete_rollout_webhook(session: Session, name: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a webhook and its undelivered events; one that does not exist is no error."""
    request = rollout_pb2.DeleteRolloutWebhookRequest(name=f"rolloutWebhooks/{name}")
    yield from invoke(session, rollout_pb2.DeleteRolloutWebhookResponse, request, timeout_s=timeout)
