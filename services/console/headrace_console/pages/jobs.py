"""Offline runs: how far each is, what it made, and the buttons that steer it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from shlex import quote

from headrace.scorer.v1 import publications_pb2, scorer_pb2
from starlette.responses import Response

from headrace_console.pages.streams import followed
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, WRITE_S, Visit, known, signed_in

_MOST, _EVENTS = 200, 40
_COLUMNS = {
    "job": lambda one: one.name,
    "state": lambda one: one.state,
    "created": lambda one: one.create_time.ToDatetime(),
}


@signed_in
async def jobs(visit: Visit) -> Response:
    """Show the jobs of every model."""
    found = await visit.part("scorer", visit.client.jobs.list(limit=_MOST, timeout=READ_S))
    table = listed(found.value or [], _COLUMNS, visit.query, visit.request.url.path, sort="-created")
    return visit.page("jobs.html", "Jobs", "headrace jobs list", jobs=found, table=table)


@signed_in
async def job(visit: Visit) -> Response:
    """Show a job."""
    return await _job(visit)


async def _job(visit: Visit) -> Response:
    name = _name(visit)
    found = await visit.client.jobs.get(name, timeout=READ_S)
    client = visit.client
    parts = await visit.parts(
        history=("scorer", client.jobs.history(name, limit=_EVENTS, timeout=READ_S)),
        publication=("scorer", known(client.publications.get(found.name, timeout=READ_S))),
    )
    return visit.page(
        "job.html",
        f"Job {name}",
        f"headrace jobs watch {quote(name)}",
        model=visit.argument("model"),
        number=visit.argument("job"),
        job=found,
        runs=not found.HasField("end_time"),
        form=visit.form,
        **parts,
    )


@signed_in
async def follow(visit: Visit) -> Response:
    """Follow a job."""
    name = _name(visit)

    async def look() -> str:
        return visit.fragment("job_panel.html", job=await visit.client.jobs.get(name, timeout=READ_S))

    return followed(visit, ("job", name), look)


@signed_in
async def act(visit: Visit) -> Response:
    """Pause, resume, cancel or retry a job."""
    name, reason, action = _name(visit), visit.form.get("reason", ""), visit.form.get("action", "")
    client = visit.client
    acts: dict[str, Callable[[], Awaitable[scorer_pb2.ScoringJob]]] = {
        "pause": lambda: client.jobs.pause(name, reason=reason, timeout=WRITE_S),
        "resume": lambda: client.jobs.resume(name, reason=reason, timeout=WRITE_S),
        "cancel": lambda: client.jobs.cancel(name, reason=reason, timeout=WRITE_S),
        "retry": lambda: client.jobs.retry(name, reason=reason, timeout=WRITE_S),
    }
    if action not in acts:
        visit.refuse("action", f"is not one of {', '.join(acts)}")
    elif await visit.tried(acts[action]()):
        return visit.go_to(f"/console/jobs/{name}", done=action)
    return await _job(visit)


@signed_in
async def publish(visit: Visit) -> Response:
    """Publish the results of a job, let a held publication through, or take it back."""
    name, form, client = (
        f"models/{visit.argument('model')}/scoringJobs/{visit.argument('job')}",
        visit.form,
        visit.client,
    )
    reason, entity, action = form.get("reason", ""), form.get("entity", "").strip(), form.get("action", "")
    how = scorer_pb2.Publishing(entity_column=entity) if entity else None
    acts: dict[str, Callable[[], Awaitable[publications_pb2.ScoringPublication]]] = {
        "publish": lambda: client.publications.publish(name, publishing=how, reason=reason, timeout=WRITE_S),
        "approve": lambda: client.publications.approve(name, reason=reason, timeout=WRITE_S),
        "revert": lambda: client.publications.revert(name, reason=reason, timeout=WRITE_S),
    }
    if action not in acts:
        visit.refuse("action", f"is not one of {', '.join(acts)}")
    elif await visit.tried(acts[action]()):
        return visit.go_to(f"/console/jobs/{_name(visit)}", done=action)
    return await _job(visit)


def _name(visit: Visit) -> str:
    return f"{visit.argument('model')}/{visit.argument('job')}"
