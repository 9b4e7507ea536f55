"""Who did what, when and why: what every service wrote down, the latest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import TypeVar

from headrace.registry.v1 import registry_pb2
from headrace_client.errors import NotFound
from starlette.responses import Response

from headrace_console.pages import audit_lines
from headrace_console.pages.audit_lines import AuditLine
from headrace_console.pages.markup import last
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Part, Visit, known, signed_in

E = TypeVar("E")

_EVENTS = 100
# Of all models, those that changed last; of rollouts and jobs, the latest.
_MOST_MODELS = 25
_MOST_HISTORIES = 10
_MOST_POOLS = 25
_MOST_WANTED = 200
_COLUMNS = {
    # What holds now and has no time is the latest.
    "when": lambda line: line.when or datetime.max.replace(tzinfo=UTC),
    "model": lambda line: line.about,
    "who": lambda line: line.who,
}


@signed_in
async def audit(visit: Visit) -> Response:
    """Show what happened to every model, or to one."""
    model, wanted = visit.request.path_params.get("model", ""), visit.query.get("q", "").strip()[:_MOST_WANTED]
    recent: Part[list[registry_pb2.Model]] = Part([])
    if not model:
        latest = visit.client.models.list(latest_first=True, limit=_MOST_MODELS, timeout=READ_S)
        recent = await visit.part("registry", latest)
    names = [model] if model else [last(one.name) for one in recent.value or ()]
    limit = _EVENTS if model else _EVENTS // 4
    found = await asyncio.gather(
        *(_of_model(visit, name, limit) for name in names),
        _of_rollouts(visit, model),
        _of_jobs(visit, model),
        _of_silences(visit, model),
        *(() if model else (_of_pools(visit),)),
    )
    lines = [line for part in found for line in part.value or () if fits(line, wanted)]
    problems = {part.problem for part in (recent, *found) if part.problem}
    table = listed(lines, _COLUMNS, visit.query, visit.request.url.path, sort="-when")
    command = f"headrace models history {quote(names[0])}" if names else "headrace models list"
    title = f"Audit of {model}" if model else "Audit"
    return visit.page("audit.html", title, command, model=model, table=table, problems=sorted(problems), wanted=wanted)


def fits(line: AuditLine, wanted: str) -> bool:
    """Return whether a line contains every word of a search."""
    text = " ".join((line.about, line.what, line.detail, line.who, line.why)).lower()
    return all(word in text for word in wanted.lower().split())


async def _of_model(visit: Visit, model: str, limit: int) -> Part[list[AuditLine]]:
    client = visit.client
    parts = await visit.parts(
        registry=("registry", client.models.history(model, limit=limit, timeout=READ_S)),
        route=("control plane", client.routes.history(model, limit=limit, timeout=READ_S)),
        experiments=("monitor", client.experiments.list(model, timeout=READ_S)),
    )
    lines = [
        *audit_lines.of_registry(model, parts["registry"].value or ()),
        *audit_lines.of_route(model, parts["route"].value or ()),
        *audit_lines.of_experiments(model, parts["experiments"].value or ()),
    ]
    return Part(lines, next((part.problem for part in parts.values() if part.problem), ""))


async def _of_rollouts(visit: Visit, model: str) -> Part[list[AuditLine]]:
    client, service = visit.client, "rollout service"
    found = await visit.part(service, client.rollouts.list(model=model, limit=_MOST_HISTORIES, timeout=READ_S))
    names = [one.name for one in found.value or ()]
    reading = [visit.part(service, _or_none(client.rollouts.history(name, timeout=READ_S))) for name in names]
    return await _histories(found.problem, names, reading, audit_lines.of_rollout)


async def _of_jobs(visit: Visit, model: str) -> Part[list[AuditLine]]:
    client, service = visit.client, "scorer"
    found = await visit.part(service, client.jobs.list(model=model, limit=_MOST_HISTORIES, timeout=READ_S))
    names = [one.name for one in found.value or ()]
    reading = [visit.part(service, _or_none(client.jobs.history(name, timeout=READ_S))) for name in names]
    return await _histories(found.problem, names, reading, audit_lines.of_job)


async def _histories(
    problem: str,
    names: Sequence[str],
    reading: Iterable[Awaitable[Part[Sequence[E]]]],
    lines_of: Callable[[str, Iterable[E]], Iterator[AuditLine]],
) -> Part[list[AuditLine]]:
    histories = await asyncio.gather(*reading)
    lines = [line for name, part in zip(names, histories, strict=True) for line in lines_of(name, part.value or ())]
    return Part(lines, problem or next((part.problem for part in histories if part.problem), ""))


async def _or_none(reading: Awaitable[Sequence[E]]) -> Sequence[E]:
    """Return a history; nothing of what was removed since it was listed."""
    try:
        return await reading
    except NotFound:
        return ()


async def _of_silences(visit: Visit, model: str) -> Part[list[AuditLine]]:
    found = await visit.part("monitor", visit.client.alerts.list_silences(timeout=READ_S))
    silences = [one for one in found.value or () if not model or one.model in (model, "*")]
    return Part([audit_lines.of_silence(one) for one in silences], found.problem)


async def _of_pools(visit: Visit) -> Part[list[AuditLine]]:
    found = await visit.part("autoscaler", visit.client.pools.list(timeout=READ_S))
    names = [last(pool.name) for pool in found.value or ()][:_MOST_POOLS]
    policies = await asyncio.gather(
        *(visit.part("autoscaler", known(visit.client.pools.get_policy(name, timeout=READ_S))) for name in names)
    )
    put = [
        audit_lines.of_policy(name, part.value)
        for name, part in zip(names, policies, strict=True)
        if part.value is not None
    ]
    paused = [audit_lines.of_pause(pool) for pool in found.value or () if pool.paused]
    return Part([*put, *paused], found.problem or next((part.problem for part in policies if part.problem), ""))
