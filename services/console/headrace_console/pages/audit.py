"""Who did what, when and why: what registry and control plane wrote down, the latest first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import route_pb2
from starlette.responses import Response

from headrace_console.pages.rendering import last, word
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_EVENTS = 100
# Of all models, those that changed last.
_MOST_MODELS = 25
_COLUMNS = {
    "when": lambda line: line.when,
    "model": lambda line: line.model,
    "who": lambda line: line.who,
}


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A change. what: in a few words; detail: what it was about."""

    when: datetime
    model: str
    what: str
    detail: str
    who: str
    why: str


@signed_in
async def audit(visit: Visit) -> Response:
    """Show what happened to every model, or to one."""
    model, client = visit.request.path_params.get("model", ""), visit.client
    problems: list[str] = []
    names = [model]
    if not model:
        recent = client.list_models(latest_first=True, limit=_MOST_MODELS, timeout=READ_S)
        found = await visit.part("registry", recent)
        names = [last(one.name) for one in found.value or ()]
        problems += [found.problem] if found.problem else []
    limit = _EVENTS if model else _EVENTS // 4
    histories = await asyncio.gather(*(_of_model(visit, name, limit) for name in names))
    lines = [line for found in histories for line in found.value or ()]
    problems += [found.problem for found in histories if found.problem]
    table = listed(lines, _COLUMNS, visit.query, visit.request.url.path, sort="-when")
    command = f"headrace models history {quote(model or 'MODEL')}"
    title = f"Audit of {model}" if model else "Audit"
    return visit.page("audit.html", title, command, model=model, table=table, problems=sorted(set(problems)))


async def _of_model(visit: Visit, model: str, limit: int) -> Part[list[AuditLine]]:
    parts = await visit.parts(
        registry=("registry", visit.client.history(model, limit=limit, timeout=READ_S)),
        route=("control plane", visit.client.route_history(model, limit=limit, timeout=READ_S)),
    )
    lines = [*_of_registry(model, parts["registry"].value or []), *_of_route(model, parts["route"].value or [])]
    return Part(lines, parts["registry"].problem or parts["route"].problem)


def _of_registry(model: str, events: list[registry_pb2.ModelEvent]) -> Iterator[AuditLine]:
    for event in events:
        moved = " → ".join(filter(None, (word(event, "from_stage"), word(event, "to_stage"))))
        detail = " ".join(filter(None, (event.version, event.alias and f"@{event.alias}", moved)))
        why = " · ".join(filter(None, (event.reason, "; ".join(event.signature_breaks))))
        yield AuditLine(event.create_time.ToDatetime(), model, word(event, "action"), detail, event.client, why)


def _of_route(model: str, events: list[route_pb2.RouteEvent]) -> Iterator[AuditLine]:
    for event in events:
        shares = ", ".join(f"{one.name}={one.weight:g}" for one in event.route.variants)
        what = f"route {word(event, 'kind')}, {word(event, 'outcome')}"
        who = event.client or f"the registry, epoch {event.registry_epoch}"
        who += f" for {event.manager}" if event.manager else ""
        why = " · ".join(filter(None, (event.reason, event.outcome_reason)))
        yield AuditLine(event.create_time.ToDatetime(), model, what, shares, who, why)
