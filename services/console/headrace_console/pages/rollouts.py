"""Pages of rollouts: the list, and one rollout live, with the buttons that control it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from shlex import quote

from headrace.rollout.v1 import rollout_pb2
from headrace_client.errors import HeadraceError
from starlette.responses import Response

from headrace_console.pages.strategies import STRATEGIES, policy_of
from headrace_console.pages.streams import followed
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, WRITE_S, Visit, signed_in

_MOST = 200
_COLUMNS = {
    "rollout": lambda one: one.name,
    "state": lambda one: one.state,
    "started": lambda one: one.create_time.ToDatetime(),
}


@signed_in
async def rollouts(visit: Visit) -> Response:
    """Show the rollouts of every model, or of one."""
    return await _rollouts(visit)


async def _rollouts(visit: Visit, plan: rollout_pb2.PlanRolloutResponse | None = None) -> Response:
    model = visit.request.path_params.get("model", "")
    parts = await visit.parts(
        rollouts=("rollout service", visit.client.rollouts.list(model=model, limit=_MOST, timeout=READ_S)),
        versions=("registry", visit.client.versions.list(model, timeout=READ_S) if model else _nothing()),
    )
    table = listed(parts["rollouts"].value or [], _COLUMNS, visit.query, visit.request.url.path, sort="-started")
    title = f"Rollouts of {model}" if model else "Rollouts"
    command = f"headrace rollouts list --model {quote(model)}" if model else "headrace rollouts list"
    return visit.page(
        "rollouts.html",
        title,
        command,
        model=model,
        table=table,
        plan=plan,
        strategies=STRATEGIES,
        form=visit.form,
        **parts,
    )


async def _nothing() -> list[object]:
    return []


@signed_in
async def begin(visit: Visit) -> Response:
    """Say what a rollout would do, or start it."""
    model, form, client = visit.argument("model"), visit.form, visit.client
    version, strategy = form.get("version", ""), form.get("strategy", "")
    if strategy and strategy not in STRATEGIES:
        visit.refuse("strategy", f"is not one of {', '.join(STRATEGIES)}")
        return await _rollouts(visit)
    if form.get("action") != "start":
        try:
            plan = await client.rollouts.plan(model, version, policy=policy_of(strategy), timeout=READ_S)
        except HeadraceError as error:
            visit.problem = error
            return await _rollouts(visit)
        return await _rollouts(visit, plan)
    starting = client.rollouts.start(
        model,
        version,
        policy=policy_of(strategy),
        reason=form.get("reason", ""),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(starting):
        return visit.go_to(f"/console/models/{model}/rollouts", done="started")
    return await _rollouts(visit)


@signed_in
async def rollout(visit: Visit) -> Response:
    """Show a rollout."""
    return await _rollout(visit)


async def _rollout(visit: Visit) -> Response:
    name = _name(visit)
    found = await visit.client.rollouts.get(name, timeout=READ_S)
    history = await visit.part("rollout service", visit.client.rollouts.history(name, limit=40, timeout=READ_S))
    return visit.page(
        "rollout.html",
        f"Rollout {name}",
        f"headrace rollouts watch {quote(name)}",
        model=visit.argument("model"),
        number=visit.argument("rollout"),
        rollout=found,
        runs=not found.HasField("end_time"),
        history=history,
    )


@signed_in
async def follow(visit: Visit) -> Response:
    """Follow a rollout."""
    name = _name(visit)

    async def look() -> str:
        found = await visit.client.rollouts.get(name, timeout=READ_S)
        return visit.fragment("rollout_panel.html", rollout=found, runs=not found.HasField("end_time"))

    return followed(visit, ("rollout", name), look)


@signed_in
async def act(visit: Visit) -> Response:
    """Pause, resume, promote or abort a rollout."""
    name, reason, action = _name(visit), visit.form.get("reason", ""), visit.form.get("action", "")
    client = visit.client
    acts: dict[str, Callable[[], Awaitable[rollout_pb2.Rollout]]] = {
        "pause": lambda: client.rollouts.pause(name, reason=reason, timeout=WRITE_S),
        "resume": lambda: client.rollouts.resume(name, reason=reason, timeout=WRITE_S),
        "promote": lambda: client.rollouts.promote(name, reason=reason, timeout=WRITE_S),
        "abort": lambda: client.rollouts.abort(name, reason=reason, timeout=WRITE_S),
    }
    if action not in acts:
        visit.refuse("action", f"is not one of {', '.join(acts)}")
    elif await visit.tried(acts[action]()):
        return visit.go_to(f"/console/rollouts/{name}", done=action)
    return await _rollout(visit)


def _name(visit: Visit) -> str:
    return f"{visit.argument('model')}/{visit.argument('rollout')}"
