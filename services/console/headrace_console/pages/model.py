"""A model: its versions, what serves, what waits for approval, and what can be done with it."""

from __future__ import annotations

import asyncio
from shlex import quote
from typing import Any

from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import approval_pb2, registry_pb2
from headrace_client.served_shares import marks
from starlette.responses import Response

from headrace_console.pages.gates import gate_text, gates_of
from headrace_console.pages.markup import last
from headrace_console.pages.spans import HOURS
from headrace_console.pages.strategies import STRATEGIES
from headrace_console.pages.tables import listed
from headrace_console.pages.timeline import timeline_of
from headrace_console.pages.traffic import Traffic, summed
from headrace_console.pages.visits import READ_S, WRITE_S, Part, Visit, signed_in

_EVENTS = 8
# Limit of the promotion requests shown, each with its obstacles; the command line lists all.
_MOST_REQUESTS = 10
_COLUMNS = {
    "version": lambda version: version.name,
    "stage": lambda version: version.stage,
    "registered": lambda version: version.create_time.ToDatetime(),
}
STAGES = {
    "production": registry_pb2.ModelVersion.STAGE_PRODUCTION,
    "staging": registry_pb2.ModelVersion.STAGE_STAGING,
    "archived": registry_pb2.ModelVersion.STAGE_ARCHIVED,
}


@signed_in
async def model(visit: Visit) -> Response:
    """Show a model."""
    return await model_page(visit)


async def model_page(visit: Visit) -> Response:
    """Return the page of a model, with what became of a form."""
    name, client = visit.argument("model"), visit.client
    found = await client.models.get(name, timeout=READ_S)
    drawing, parts = await asyncio.gather(timeline_of(visit, name), _parts(visit, name))
    versions = parts["versions"].value or []
    route = parts["route"].value
    return visit.page(
        "model.html",
        name,
        f"headrace models show {quote(name)}",
        model=name,
        found=found,
        timeline=drawing(()),
        choices=HOURS,
        table=listed(versions, _COLUMNS, visit.query, visit.request.url.path, sort="-registered"),
        marks={} if route is None else marks(found.production_version, route.route),
        gates=gates_of(found),
        gate_text=gate_text,
        strategies=STRATEGIES,
        form=visit.form,
        **parts,
    )


async def _parts(visit: Visit, name: str) -> dict[str, Part[Any]]:
    client = visit.client
    return await visit.parts(
        versions=("registry", client.versions.list(name, timeout=READ_S)),
        route=("control plane", client.routes.get(name, timeout=READ_S)),
        traffic=("monitor", _traffic(visit, name)),
        alerts=("monitor", client.alerts.list(model=name, state=alert_pb2.Alert.STATE_OPEN, timeout=READ_S)),
        rollouts=("rollout service", client.rollouts.list(model=name, running=True, timeout=READ_S)),
        events=("registry", client.models.history(name, limit=_EVENTS, timeout=READ_S)),
        waiting=("registry", _waiting(visit, name)),
        policy=("registry", client.approvals.get_policy(name, timeout=READ_S)),
    )


async def _traffic(visit: Visit, name: str) -> Traffic:
    return summed((await visit.client.monitor.traffic(name, timeout=READ_S)).traffic)


async def _waiting(visit: Visit, name: str) -> list[approval_pb2.GetPromotionRequestResponse]:
    """Return the promotion requests that wait for approvals, each with its current obstacles."""
    client, pending = visit.client, approval_pb2.PromotionRequest.STATE_PENDING
    found = await client.approvals.list(model=name, state=pending, limit=_MOST_REQUESTS, timeout=READ_S)
    numbers = [number_of(last(request.name)) for request in found]
    return list(await asyncio.gather(*(client.approvals.get(name, number, timeout=READ_S) for number in numbers)))


@signed_in
async def promote(visit: Visit) -> Response:
    """Move a version to a stage; what the registry refuses is shown with its reasons."""
    name, form = visit.argument("model"), visit.form
    stage = STAGES.get(form.get("stage", ""))
    if stage is None:
        visit.refuse("stage", f"is not one of {', '.join(STAGES)}")
        return await model_page(visit)
    promoting = visit.client.models.promote(
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
    return await model_page(visit)


@signed_in
async def roll_back(visit: Visit) -> Response:
    """Put the version that was in production before back there."""
    name, form = visit.argument("model"), visit.form
    rolling_back = visit.client.models.rollback(
        name,
        etag=form.get("etag", ""),
        end_rollout=form.get("end_rollout") == "yes",
        reason=form.get("reason", ""),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(rolling_back):
        return visit.go_to(f"/console/models/{name}", done="rolled-back")
    return await model_page(visit)


def number_of(text: str) -> int:
    """Return the number of a request in an address; 0, which no request has, for what is no number.

    >>> number_of("17"), number_of("x"), number_of("-1"), number_of("9" * 30)
    (17, 0, 0, 0)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
