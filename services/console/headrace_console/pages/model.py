"""A model: its versions, what serves, what can be done with it; and one version with all that is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from shlex import quote

from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import approval_pb2, registry_pb2
from starlette.responses import Response

from headrace_console.pages.rendering import last, number
from headrace_console.pages.tables import listed
from headrace_console.pages.traffic import Traffic, summed
from headrace_console.pages.visits import READ_S, WRITE_S, Visit, signed_in

_EVENTS = 8
# Requests for promotion that are shown, each with what stands in its way; the command line has the others.
_MOST_REQUESTS = 10
_COLUMNS = {
    "version": lambda version: version.name,
    "stage": lambda version: version.stage,
    "registered": lambda version: version.create_time.ToDatetime(),
}
_STAGES = {
    "production": registry_pb2.ModelVersion.STAGE_PRODUCTION,
    "staging": registry_pb2.ModelVersion.STAGE_STAGING,
    "archived": registry_pb2.ModelVersion.STAGE_ARCHIVED,
}


@signed_in
async def model(visit: Visit) -> Response:
    """Show a model."""
    return await _model(visit)


async def _model(visit: Visit) -> Response:
    name, client = visit.argument("model"), visit.client
    found = await client.get_model(name, timeout=READ_S)
    parts = await visit.parts(
        versions=("registry", client.list_versions(name, timeout=READ_S)),
        route=("control plane", client.get_route(name, timeout=READ_S)),
        traffic=("monitor", _traffic(visit, name)),
        alerts=("monitor", client.list_alerts(model=name, state=alert_pb2.Alert.STATE_OPEN, timeout=READ_S)),
        rollouts=("rollout service", client.list_rollouts(model=name, running=True, timeout=READ_S)),
        events=("registry", client.history(name, limit=_EVENTS, timeout=READ_S)),
        waiting=("registry", _waiting(visit, name)),
    )
    versions = parts["versions"].value or []
    return visit.page(
        "model.html",
        name,
        f"headrace models show {quote(name)}",
        model=name,
        found=found,
        table=listed(versions, _COLUMNS, visit.query, visit.request.url.path, sort="-registered"),
        gates=gates_of(found),
        gate_text=gate_text,
        form=visit.form,
        **parts,
    )


async def _traffic(visit: Visit, name: str) -> Traffic:
    return summed(await visit.client.traffic(name, timeout=READ_S))


async def _waiting(visit: Visit, name: str) -> list[approval_pb2.GetPromotionRequestResponse]:
    """Return the requests that wait for approvals, each with what stands in its way now."""
    client, pending = visit.client, approval_pb2.PromotionRequest.STATE_PENDING
    found = await client.list_promotion_requests(model=name, state=pending, limit=_MOST_REQUESTS, timeout=READ_S)
    numbers = [number_of(last(request.name)) for request in found]
    return list(
        await asyncio.gather(*(client.get_promotion_request(name, number, timeout=READ_S) for number in numbers))
    )


@signed_in
async def promote(visit: Visit) -> Response:
    """Move a version to a stage; what the registry refuses is shown with its reasons."""
    name, form = visit.argument("model"), visit.form
    stage = _STAGES.get(form.get("stage", ""))
    if stage is None:
        visit.refuse("stage", f"is none of {', '.join(_STAGES)}")
        return await _model(visit)
    promoting = visit.client.promote(
        name,
        form.get("version", ""),
        stage=stage,
        etag=form.get("etag", ""),
        allow_incompatible_signature=form.get("allow_incompatible_signature") == "yes",
        end_rollout=form.get("end_rollout") == "yes",
        reason=form.get("reason", ""),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(promoting):
        return visit.go_to(f"/console/models/{name}", done="promoted")
    return await _model(visit)


@signed_in
async def roll_back(visit: Visit) -> Response:
    """Put the version that was in production before back there."""
    name, form = visit.argument("model"), visit.form
    rolling_back = visit.client.rollback(
        name,
        etag=form.get("etag", ""),
        end_rollout=form.get("end_rollout") == "yes",
        reason=form.get("reason", ""),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(rolling_back):
        return visit.go_to(f"/console/models/{name}", done="rolled-back")
    return await _model(visit)


@signed_in
async def answer(visit: Visit) -> Response:
    """Agree to a request for promotion, or reject it; what the registry refuses is shown with its reasons."""
    name, client, form = visit.argument("model"), visit.client, visit.form
    request, reason, request_id = (
        number_of(visit.argument("request")),
        form.get("reason", ""),
        form.get("request_id", ""),
    )
    action = form.get("action", "")
    answers: dict[str, Callable[[], Awaitable[object]]] = {
        "approve": lambda: client.approve_promotion(
            name, request, reason=reason, request_id=request_id, timeout=WRITE_S
        ),
        "reject": lambda: client.reject_promotion(name, request, reason, request_id=request_id, timeout=WRITE_S),
    }
    if action not in answers:
        visit.refuse("action", f"is none of {', '.join(answers)}")
    elif await visit.tried(answers[action]()):
        return visit.go_to(f"/console/models/{name}", done=action)
    return await _model(visit)


@signed_in
async def version(visit: Visit) -> Response:
    """Show a version."""
    name, version_id = visit.argument("model"), visit.argument("version")
    found = await visit.client.get_version(name, version_id, timeout=READ_S)
    parts = await visit.parts(
        measurements=("registry", visit.client.list_measurements(name, version_id, limit=20, timeout=READ_S)),
        holds=("registry", visit.client.list_holds(name, timeout=READ_S)),
    )
    command = f"headrace models show {quote(name)} {quote(version_id)}"
    return visit.page("version.html", f"{name} {version_id}", command, model=name, version=found, **parts)


def number_of(text: str) -> int:
    """Return the number of a request in an address; 0, which no request has, for what is no number.

    >>> number_of("17"), number_of("x"), number_of("-1"), number_of("9" * 30)
    (17, 0, 0, 0)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def gates_of(model: registry_pb2.Model) -> list[str]:
    """Return the gates of a model as they are typed; those that hold by default when it has none of its own."""
    if not model.HasField("promotion_policy"):
        return ["accuracy>=0.85 (default)", "latency_p99_ms<=100 (default)"]
    return [gate_text(gate) for gate in model.promotion_policy.gates]


def gate_text(gate: registry_pb2.PromotionGate) -> str:
    """Return a gate as it is typed."""
    kind = gate.WhichOneof("bound") or "maximum"
    side, _, relation = kind.partition("_")
    value = getattr(gate, kind)
    bound = number(value)
    if relation == "ratio":
        bound = f"{number(value)}*production"
    elif relation == "delta":
        bound = "production" + (f"{value:+.4g}" if value else "")
    return f"{gate.metric}{'>=' if side == 'minimum' else '<='}{bound}{'@measured' if gate.measured_only else ''}"
