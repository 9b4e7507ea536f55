"""What a description of an installation would change, and changing it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from headrace.autoscaler.v1 import autoscaler_pb2
from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import budget_pb2, client_limits_pb2, route_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import HeadraceError, NotFound
from headrace_client.operations.declarations import READY_TIMEOUT_S

from headrace_describe.state_differences import differences, wanted
from headrace_describe.state_files import Resource

DEFAULT_TIMEOUT_S = 30.0
# Sections whose resources the API lists, and gives none alone.
_LISTED = frozenset(("alert_rules", "budgets", "rate_limits"))


@dataclass(frozen=True, slots=True)
class Change:
    """What one resource becomes. present: None where there is none. lines: what differs. notes: what follows."""

    resource: Resource
    present: Message | None
    wanted: Message
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    moved_share: float | None = None


def plan_changes(
    session: Session, resources: Sequence[Resource], *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[Change]]:
    """Return the changes that bring an installation to its description; change nothing.

    For a route this is its dry run: which units move, which versions must load, which conflicts there are; for a pool
    the decision. Raises HeadraceError, also for a resource that would be refused.
    """
    listed: dict[str, dict[str, Message]] = {}
    found: list[Change] = []
    for resource in resources:
        section = resource.kind.section
        if section in _LISTED and section not in listed:
            listed[section] = yield from _all(session, section, timeout)
        present: Message | None
        if section in _LISTED:
            present = listed[section].get(resource.name)
        else:
            present = yield from _present(session, resource, timeout)
        made = wanted(resource, present)
        lines = tuple(differences(present, made, resource.stated))
        if lines or present is None:
            found.append((yield from _looked_at(session, Change(resource, present, made, lines), timeout)))
    return found


def apply_change(
    session: Session, change: Change, *, reason: str = "", timeout: float = READY_TIMEOUT_S
) -> Operation[None]:
    """Make a change that was planned; return when it is in force, of a route when its versions are loaded.

    A model, route or pool that changed since the plan is not overwritten: ABORTED. Raises HeadraceError.
    """
    made: Any = change.wanted
    again = str(uuid.uuid4())
    if isinstance(made, registry_pb2.Model):
        if change.present is None:
            created = registry_pb2.CreateModelRequest(model=made, request_id=again)
            yield from invoke(session, registry_pb2.CreateModelResponse, created, timeout_s=timeout)
        else:
            updated = registry_pb2.UpdateModelRequest(model=made, reason=reason, request_id=again)
            yield from invoke(session, registry_pb2.UpdateModelResponse, updated, timeout_s=timeout)
    elif isinstance(made, route_pb2.Route):
        routed = route_pb2.UpdateRouteRequest(route=made, reason=reason, request_id=again)
        yield from invoke(session, route_pb2.UpdateRouteResponse, routed, timeout_s=timeout)
    elif isinstance(made, alert_pb2.AlertRule):
        yield from invoke(
            session, alert_pb2.PutAlertRuleResponse, alert_pb2.PutAlertRuleRequest(rule=made), timeout_s=timeout
        )
    elif isinstance(made, budget_pb2.Budget):
        yield from invoke(
            session, budget_pb2.PutBudgetResponse, budget_pb2.PutBudgetRequest(budget=made), timeout_s=timeout
        )
    elif isinstance(made, client_limits_pb2.RateLimit):
        limited = client_limits_pb2.PutRateLimitRequest(rate_limit=made)
        yield from invoke(session, client_limits_pb2.PutRateLimitResponse, limited, timeout_s=timeout)
    else:
        put = autoscaler_pb2.PutPolicyRequest(policy=made)
        yield from invoke(session, autoscaler_pb2.PutPolicyResponse, put, timeout_s=timeout)


def _all(session: Session, section: str, timeout: float) -> Operation[dict[str, Message]]:
    """Return the resources of a section that are only listed, by name."""
    answer: Any
    if section == "alert_rules":
        answer = yield from invoke(
            session, alert_pb2.ListAlertRulesResponse, alert_pb2.ListAlertRulesRequest(), timeout_s=timeout
        )
        return {one.name: one for one in answer.rules}
    if section == "budgets":
        answer = yield from invoke(
            session, budget_pb2.ListBudgetsResponse, budget_pb2.ListBudgetsRequest(), timeout_s=timeout
        )
        return {one.budget.name: one.budget for one in answer.budgets}
    answer = yield from invoke(
        session, client_limits_pb2.ListRateLimitsResponse, client_limits_pb2.ListRateLimitsRequest(), timeout_s=timeout
    )
    return {one.name: one for one in answer.rate_limits}


def _present(session: Session, resource: Resource, timeout: float) -> Operation[Message | None]:
    """Return a resource as it is, None where there is none."""
    answer: Any
    try:
        if resource.kind.message is registry_pb2.Model:
            answer = yield from invoke(
                session,
                registry_pb2.GetModelResponse,
                registry_pb2.GetModelRequest(name=resource.name),
                timeout_s=timeout,
            )
            return answer.model
        if resource.kind.message is route_pb2.Route:
            answer = yield from invoke(
                session, route_pb2.GetRouteResponse, route_pb2.GetRouteRequest(name=resource.name), timeout_s=timeout
            )
            return answer.route
        answer = yield from invoke(
            session,
            autoscaler_pb2.GetPolicyResponse,
            autoscaler_pb2.GetPolicyRequest(name=resource.name),
            timeout_s=timeout,
        )
        return answer.policy
    except NotFound:
        return None


def _looked_at(session: Session, change: Change, timeout: float) -> Operation[Change]:
    """Return a change with what follows from it."""
    made: Any = change.wanted
    notes: list[str] = []
    if isinstance(made, route_pb2.Route):
        try:
            tried: Any = yield from invoke(
                session, route_pb2.DryRunRouteResponse, route_pb2.DryRunRouteRequest(route=made), timeout_s=timeout
            )
        except NotFound as error:  # of a model, or version, that is to be made first
            return Change(change.resource, change.present, made, change.lines, (str(error),))
        notes.append(f"{tried.moved_share:.1%} of users get another variant, {tried.moved_version_share:.1%} a version")
        if tried.waits_for:
            notes.append(f"waits: {tried.waits_for}")
        if tried.managed_by:
            notes.append(f"refused while {tried.managed_by} manages the route")
        if tried.unpromoted_excess:
            notes.append(f"refused: {tried.unpromoted_excess}")
        return Change(change.resource, change.present, made, change.lines, tuple(notes), tried.moved_share)
    if change.resource.kind.section == "pools":
        decided: Any = yield from invoke(
            session,
            autoscaler_pb2.DryRunPolicyResponse,
            autoscaler_pb2.DryRunPolicyRequest(policy=made),
            timeout_s=timeout,
        )
        was, will = decided.decision.previous_replicas, decided.decision.desired_replicas
        notes.append(f"replicas: {was} -> {will} ({decided.decision.rule})")
    elif isinstance(made, registry_pb2.Model) and change.present is not None:
        notes.extend((yield from _gates(session, made, timeout)))
    return Change(change.resource, change.present, made, change.lines, tuple(notes))


def _gates(session: Session, model: Any, timeout: float) -> Operation[list[str]]:
    """Return what gates say of the version in production: one that it would not pass is probably not meant."""
    if not model.production_version:
        return []
    request = registry_pb2.GetModelVersionRequest(name=f"{model.name}/versions/{model.production_version}")
    try:
        version: Any = (
            yield from invoke(session, registry_pb2.GetModelVersionResponse, request, timeout_s=timeout)
        ).version
    except HeadraceError:
        return []
    values = {one.metric: one for one in model.promotion_policy.gates}
    known = {one.name: one.value for one in version.metrics}
    failed = [
        name
        for name, gate in values.items()
        if name in known
        and (
            (gate.WhichOneof("bound") == "minimum" and known[name] < gate.minimum)
            or (gate.WhichOneof("bound") == "maximum" and known[name] > gate.maximum)
        )
    ]
    return [f"version {model.production_version} in production would not pass the gate on {name}" for name in failed]
