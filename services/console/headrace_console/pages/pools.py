"""Pools: how full they are, who is in them, and what the autoscaler decided and why."""

from __future__ import annotations

from itertools import groupby
from shlex import quote
from typing import Any

from headrace.router.v1 import route_pb2
from headrace_client.errors import NotFound
from starlette.responses import Response

from headrace_console.busyness import Busy
from headrace_console.pages.following import followed
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_DECISIONS = 25


@signed_in
async def pools(visit: Visit) -> Response:
    """Show every pool."""
    parts = await visit.parts(
        batchers=("control plane", visit.client.list_batchers(timeout=READ_S)),
        scaled=("autoscaler", visit.client.list_pools(timeout=READ_S)),
    )
    members = by_pool(parts["batchers"].value or [])
    scaled = {pool.name.rsplit("/", 1)[-1]: pool for pool in parts["scaled"].value or ()}
    names = sorted({*members, *scaled})
    return visit.page(
        "pools.html",
        "Pools",
        "headrace autoscale status",
        names=names,
        members=members,
        waits={name: longest_wait_s(found) for name, found in members.items()},
        of=scaled,
        busy=busy_of(visit, parts["batchers"]),
        **parts,
    )


@signed_in
async def pool(visit: Visit) -> Response:
    """Show a pool."""
    name, client = visit.argument("pool"), visit.client
    context = await _now(visit, name)
    if not context["batchers"].value and context["scaled"] is None:
        raise NotFound(f"pool '{name}' has no batcher and no policy", reason="POOL_NOT_FOUND")
    decisions = await visit.part(
        "autoscaler", client.list_decisions(name, only_changes=True, limit=_DECISIONS, timeout=READ_S)
    )
    return visit.page(
        "pool.html",
        f"Pool {name}",
        f"headrace autoscale watch {quote(name)}",
        pool=name,
        decisions=decisions,
        **context,
    )


@signed_in
async def follow(visit: Visit) -> Response:
    """Follow a pool."""
    name = visit.argument("pool")

    async def look() -> str:
        return visit.fragment("pool_panel.html", pool=name, **await _now(visit, name))

    return followed(visit, ("pool", name), look)


async def _now(visit: Visit, name: str) -> dict[str, Any]:
    parts: dict[str, Part] = await visit.parts(
        batchers=("control plane", visit.client.list_batchers(name, timeout=READ_S)),
        every=("autoscaler", visit.client.list_pools(timeout=READ_S)),
    )
    scaled = next((one for one in parts["every"].value or () if one.name.endswith(f"/{name}")), None)
    busy = busy_of(visit, parts["batchers"]).get(name)
    return {"batchers": parts["batchers"], "scaled": scaled, "autoscaler": parts["every"], "busy": busy}


def busy_of(visit: Visit, batchers: Part[list[route_pb2.Batcher]]) -> dict[str, Busy]:
    """Return how busy pools are; nothing to whom not all models are shown, who would take the others for head-room."""
    session = visit.session
    if session.login.models is not None or batchers.value is None:
        return {}
    return visit.console.busyness.of(session.rights, batchers.value)


def longest_wait_s(batchers: list[route_pb2.Batcher]) -> float:
    """Return the longest wait that a batcher predicts."""
    return max(batcher.load.predicted_wait.ToTimedelta().total_seconds() for batcher in batchers)


def by_pool(batchers: list[route_pb2.Batcher]) -> dict[str, list[route_pb2.Batcher]]:
    """Return the batchers of each pool."""
    ordered = sorted(batchers, key=lambda batcher: (batcher.pool, batcher.process))
    return {name: list(members) for name, members in groupby(ordered, key=lambda batcher: batcher.pool)}
