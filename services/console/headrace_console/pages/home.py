"""The first page: models with their traffic, alerts, pools, and what changed today."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any

from headrace.monitor.v1 import alert_pb2
from headrace.registry.v1 import registry_pb2
from headrace_client.served_shares import marks
from starlette.responses import Response

from headrace_console.pages.alerts import MOST_ALERTS
from headrace_console.pages.audit_lines import of_registry
from headrace_console.pages.markup import last, moment
from headrace_console.pages.pools import busy_of
from headrace_console.pages.spans import HOURS
from headrace_console.pages.tables import ROWS, Fetched
from headrace_console.pages.timeline import timeline_of
from headrace_console.pages.traffic import Traffic, summed
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_TODAY = timedelta(days=1)
# Models whose history is read: those that changed last.
_MOST_HISTORIES = 8
_EVENTS = 12
_MOST_WANTED = 200


@signed_in
async def home(visit: Visit) -> Response:
    """Show the installation at a glance."""
    client, wanted = visit.client, visit.query.get("q", "").strip()[:_MOST_WANTED]
    by_change = visit.query.get("sort") == "-changed"
    found = await visit.parts(
        models=(
            "registry",
            client.models.page(
                contains=wanted,
                latest_first=by_change,
                size=ROWS,
                token=visit.query.get("after", ""),
                timeout=READ_S,
            ),
        ),
        recent=("registry", client.models.list(latest_first=True, limit=_MOST_HISTORIES, timeout=READ_S)),
        alerts=("monitor", client.alerts.list(state=alert_pb2.Alert.STATE_OPEN, limit=MOST_ALERTS, timeout=READ_S)),
        pools=("autoscaler", client.pools.list(timeout=READ_S)),
        batchers=("control plane", client.routes.list_batchers(timeout=READ_S)),
    )
    page: registry_pb2.ListModelsResponse = found["models"].value or registry_pb2.ListModelsResponse()
    table = Fetched(
        page.models,
        page.next_page_token,
        "-changed" if by_change else "model",
        not visit.query.get("after"),
        visit.request.url.path,
        visit.query,
    )
    traffic, marks_of, changes, drawing = await asyncio.gather(
        _traffic(visit, table.rows),
        _marks(visit, table.rows),
        _changes(visit, found["recent"].value or []),
        timeline_of(visit),
    )
    command = "headrace models list" + (f" --contains {quote(wanted)}" if wanted else "")
    alerts: dict[str, int] = {}
    for alert in found["alerts"].value or ():
        alerts[last(alert.model)] = alerts.get(last(alert.model), 0) + 1
    return visit.page(
        "home.html",
        "Home",
        command + (" --latest-first" if by_change else ""),
        table=table,
        traffic=traffic,
        marks_of=marks_of,
        alerts_of=alerts,
        busy=busy_of(visit, found["batchers"]),
        changes=changes,
        timeline=drawing(line for one in changes for line in of_registry(one["model"], [one["event"]])),
        choices=HOURS,
        wanted=wanted,
        nothing_yet=not (table.rows or wanted) and table.first,
        **found,
    )


async def _traffic(visit: Visit, models: Sequence[registry_pb2.Model]) -> dict[str, Part[Traffic]]:
    """Return the last hour of each model that is shown, as it was within the last second."""
    names = tuple(last(model.name) for model in models)
    if not names:
        return {}

    async def read() -> dict[str, Traffic]:
        found = await visit.client.monitor.list_traffic(names, timeout=READ_S)
        return {name: summed(found.get(name, ())) for name in names}

    of_all = await visit.part("monitor", visit.console.traffic.get((visit.session.rights, names), read))
    return {name: Part(None if of_all.value is None else of_all.value[name], of_all.problem) for name in names}


async def _marks(visit: Visit, models: Sequence[registry_pb2.Model]) -> Mapping[str, Mapping[str, str]]:
    """Return the versions whose stage and traffic differ, by model; none of a model whose route cannot be read now."""

    async def of(model: registry_pb2.Model) -> tuple[str, Mapping[str, str]]:
        route = await visit.part("control plane", visit.client.routes.get(last(model.name), timeout=READ_S))
        return last(model.name), {} if route.value is None else marks(model.production_version, route.value.route)

    async def read() -> dict[str, Mapping[str, str]]:
        return dict(await asyncio.gather(*(of(model) for model in models)))

    names = tuple(model.name for model in models)
    return await visit.console.marks.get((visit.session.rights, names), read)


async def _changes(visit: Visit, recent: Sequence[registry_pb2.Model]) -> list[dict[str, Any]]:
    """Return what happened in the last day to the models that changed last, the latest first."""
    since = datetime.now(UTC) - _TODAY
    names = [last(model.name) for model in recent if (moment(model.update_time) or since) > since]
    histories = await asyncio.gather(
        *(visit.part("registry", visit.client.models.history(name, limit=_EVENTS, timeout=READ_S)) for name in names)
    )
    found = [
        {"model": name, "event": event}
        for name, history in zip(names, histories, strict=True)
        for event in history.value or ()
        if (moment(event.create_time) or since) > since
    ]
    found.sort(key=lambda one: one["event"].create_time.ToDatetime(), reverse=True)
    return found[:_EVENTS]
