"""The first page: models with their traffic, alerts, pools, and what changed today."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from starlette.responses import Response

from headrace_console.pages.alerts import MOST_ALERTS
from headrace_console.pages.rendering import last, moment
from headrace_console.pages.tables import listed
from headrace_console.pages.traffic import Traffic, summed
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_TODAY = timedelta(days=1)
# Models whose history is read: those that changed last.
_MOST_HISTORIES = 8
_EVENTS = 12
_COLUMNS = {
    "model": lambda model: model.name,
    "production": lambda model: model.production_version,
    "changed": lambda model: model.update_time.ToDatetime(),
}


@signed_in
async def home(visit: Visit) -> Response:
    """Show the installation at a glance."""
    client = visit.client
    found = await visit.parts(
        models=("registry", client.list_models(timeout=READ_S)),
        alerts=("monitor", client.list_alerts(state=alert_pb2.Alert.STATE_OPEN, limit=MOST_ALERTS, timeout=READ_S)),
        pools=("autoscaler", client.list_pools(timeout=READ_S)),
        batchers=("control plane", client.list_batchers(timeout=READ_S)),
    )
    every: Sequence[registry_pb2.Model] = found["models"].value or []
    wanted = visit.query.get("q", "").strip().lower()
    chosen = [model for model in every if wanted in model.name.lower() or wanted in model.description.lower()]
    table = listed(chosen, _COLUMNS, visit.query, visit.request.url.path, sort="model")
    traffic, changes = await asyncio.gather(_traffic(visit, table.rows), _changes(visit, every))
    alerts: dict[str, int] = {}
    for alert in found["alerts"].value or ():
        alerts[last(alert.model)] = alerts.get(last(alert.model), 0) + 1
    return visit.page(
        "home.html",
        "Home",
        "headrace models list",
        table=table,
        traffic=traffic,
        alerts_of=alerts,
        changes=changes,
        wanted=visit.query.get("q", ""),
        nothing_yet=not every,
        **found,
    )


async def _traffic(visit: Visit, models: Sequence[registry_pb2.Model]) -> dict[str, Part[Traffic]]:
    """Return the last hour of each model that is shown."""

    async def of(model: str) -> Traffic:
        return summed(await visit.client.traffic(model, timeout=READ_S))

    names = [last(model.name) for model in models]
    parts = await asyncio.gather(*(visit.part("monitor", of(name)) for name in names))
    return dict(zip(names, parts, strict=True))


async def _changes(visit: Visit, models: Sequence[registry_pb2.Model]) -> list[dict[str, Any]]:
    """Return what happened to models in the last day, the latest first."""
    since = datetime.now(UTC) - _TODAY
    recent = [model for model in models if (moment(model.update_time) or since) > since]
    recent.sort(key=lambda model: model.update_time.ToDatetime(), reverse=True)
    names = [last(model.name) for model in recent[:_MOST_HISTORIES]]
    histories = await asyncio.gather(
        *(visit.part("registry", visit.client.history(name, limit=_EVENTS, timeout=READ_S)) for name in names)
    )
    found = [
        {"model": name, "event": event}
        for name, history in zip(names, histories, strict=True)
        for event in history.value or ()
        if (moment(event.create_time) or since) > since
    ]
    found.sort(key=lambda one: one["event"].create_time.ToDatetime(), reverse=True)
    return found[:_EVENTS]
