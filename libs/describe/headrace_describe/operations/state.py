"""What a description of an installation would change, and changing it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from headrace.autoscaler.v1 import autoscaler_pb2
from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import budget_pb2, client_limits_pb2, route_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import (
    Aborted,
    AlreadyExists,
    HeadraceError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
)
from headrace_client.operations.declarations import READY_TIMEOUT_S

from headrace_describe.state_differences import differences, wanted
from headrace_describe.state_files import Resource

DEFAULT_TIMEOUT_S = 30.0
# Sections whose resources the API lists, and gives none alone.
_LISTED = frozenset(("alert_rules", "budgets", "rate_limits"))
_REFUSALS = (InvalidArgument, NotFound, AlreadyExists, PreconditionFailed, Aborted, PermissionDenied)


@dataclass(frozen=True, slots=True)
class Change:
    """What one resource becomes. present: None where there is none. lines: what differs. notes: what follows.

    refused: what the service answers to the write. waits_for: the resource that another change makes first; until it
    is there this change cannot be checked. Empty for none.
    """

    resource: Resource
    present: Message | None
    wanted: Message
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    moved_share: float | None = None
    refused: HeadraceError | None = None
    waits_for: str = ""


def plan_changes(
    session: Session, resources: Sequence[Resource], *, check: bool = True, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[Change]]:
    """Return the changes that bring an installation to its description; change nothing.

    For a route this is its dry run: which units move and which versions must load; for a pool the decision. check: have
    each write validated by its service; a change that would be refused has the reason. Raises HeadraceError.
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
            change = Change(resource, present, made, lines, waits_for=_awaited(resource, found))
            if check and not change.waits_for:
                change = replace(change, refused=(yield from _refusal(session, change, timeout)))
            if change.refused is None and not change.waits_for:
                change = yield from _with_notes(session, change, timeout)
            found.append(change)
    return found


def _awaited(resource: Resource, before: Sequence[Change]) -> str:
    """Return the model of a route that an earlier change makes; empty where the model is there or in no file."""
    made = {change.resource.name for change in before if change.present is None}
    model = f"models/{resource.id}"
    return model if resource.kind.section == "routes" and model in made else ""


def apply_change(
    session: Session, change: Change, *, reason: str = "", timeout: float = READY_TIMEOUT_S
) -> Operation[None]:
    """Make a change that was planned; return when it is in force, of a route when its versions are loaded.

    A model, route or pool that changed since the plan is not overwritten: ABORTED. Raises HeadraceError.
    """
    answer, request = _write(change, reason=reason)
    yield from invoke(session, answer, request, timeout_s=timeout)


def _write(change: Change, *, reason: str = "", validate_only: bool = False) -> tuple[type[Message], Message]:
    """Return the RPC that makes a change, by the type of its answer, and its request."""
    made: Any = change.wanted
    again = str(uuid.uuid4())
    if isinstance(made, registry_pb2.Model) and change.present is None:
        return registry_pb2.CreateModelResponse, registry_pb2.CreateModelRequest(
            model=made, request_id=again, validate_only=validate_only
        )
    if isinstance(made, registry_pb2.Model):
        return registry_pb2.UpdateModelResponse, registry_pb2.UpdateModelRequest(
            model=made, reason=reason, request_id=again, validate_only=validate_only
        )
    if isinstance(made, route_pb2.Route):
        return route_pb2.UpdateRouteResponse, route_pb2.UpdateRouteRequest(
            route=made, reason=reason, request_id=again, validate_only=validate_only
        )
    if isinstance(made, alert_pb2.AlertRule):
        return alert_pb2.PutAlertRuleResponse, alert_pb2.PutAlertRuleRequest(rule=made, validate_only=validate_only)
    if isinstance(made, budget_pb2.Budget):
        return budget_pb2.PutBudgetResponse, budget_pb2.PutBudgetRequest(budget=made, validate_only=validate_only)
    if isinstance(made, client_limits_pb2.RateLimit):
        limited = client_limits_pb2.PutRateLimitRequest(rate_limit=made, validate_only=validate_only)
        return client_limits_pb2.PutRateLimitResponse, limited
    put = autoscaler_pb2.PutPolicyRequest(policy=made, validate_only=validate_only)
    return autoscaler_pb2.PutPolicyResponse, put


def _refusal(session: Session, change: Change, timeout: float) -> Operation[HeadraceError | None]:
    """Return why the write of a change would be refused; None where it would not be. Raises other HeadraceErrors."""
    answer, request = _write(change, validate_only=True)
    try:
        yield from invoke(session, answer, request, timeout_s=timeout)
    except _REFUSALS as error:
        return error
    except ResourceExhausted as error:
        if not error.reason.startswith("TOO_MANY_"):  # this caller's rate, not the number of resources
            raise
        return error
    return None


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


def _with_notes(session: Session, change: Change, timeout: float) -> Operation[Change]:
    """Return a change with what follows from it."""
    made: Any = change.wanted
    notes: list[str] = []
    if isinstance(made, route_pb2.Route):
        tried: Any = yield from invoke(
            session, route_pb2.DryRunRouteResponse, route_pb2.DryRunRouteRequest(route=made), timeout_s=timeout
        )
        notes.append(f"{tried.moved_share:.1%} of users get another variant, {tried.moved_version_share:.1%} a version")
        if tried.waits_for:
            notes.append(f"waits: {tried.waits_for}")
        return replace(change, notes=tuple(notes), moved_share=tried.moved_share)
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
    return replace(change, notes=tuple(notes))


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
