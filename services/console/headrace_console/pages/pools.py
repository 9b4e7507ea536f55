"""Pools: how full they are, who is in them, and what the autoscaler decided and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from shlex import quote
from typing import Any

from headrace.autoscaler.v1 import autoscaler_pb2
from headrace.router.v1 import route_pb2
from headrace_client.errors import NotFound
from starlette.responses import Response

from headrace_console.busyness import Busy
from headrace_console.pages.markup import last
from headrace_console.pages.streams import followed
from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, Part, Visit, signed_in

_DECISIONS = 25


@dataclass(frozen=True, slots=True)
class PoolLine:
    """A pool in the table. scaled: the autoscaler's pool; None without a policy. busy: None while unknown."""

    name: str
    batchers: Sequence[route_pb2.Batcher]
    scaled: autoscaler_pb2.Pool | None
    busy: Busy | None

    @property
    def wait_s(self) -> float | None:
        """Return the longest wait that a batcher predicts; None without any batcher."""
        return longest_wait_s(self.batchers) if self.batchers else None

    @property
    def queued_rows(self) -> int:
        """Return how many rows wait."""
        return sum(batcher.load.queued_rows for batcher in self.batchers)


def _unknown_first(value: float | None) -> float:
    """Return the sort key of a column's value: unknown sorts before every known value, which is not negative."""
    return -1.0 if value is None else value


COLUMNS: Mapping[str, Callable[[PoolLine], Any]] = {
    "pool": lambda line: line.name,
    "batchers": lambda line: len(line.batchers),
    "wanted": lambda line: _unknown_first(None if line.scaled is None else line.scaled.desired_replicas),
    "free": lambda line: _unknown_first(None if line.busy is None else 1 - line.busy.share),
    "wait": lambda line: _unknown_first(line.wait_s),
    "rows": lambda line: line.queued_rows,
}


@signed_in
async def pools(visit: Visit) -> Response:
    """Show every pool."""
    parts = await visit.parts(
        batchers=("control plane", visit.client.routes.list_batchers(timeout=READ_S)),
        scaled=("autoscaler", visit.client.pools.list(timeout=READ_S)),
    )
    lines = lines_of(parts["batchers"].value or [], parts["scaled"].value or [], busy_of(visit, parts["batchers"]))
    table = listed(lines, COLUMNS, visit.query, visit.request.url.path, sort="pool")
    return visit.page("pools.html", "Pools", "headrace autoscale status", table=table, **parts)


@signed_in
async def pool(visit: Visit) -> Response:
    """Show a pool."""
    name, client = visit.argument("pool"), visit.client
    context = await _now(visit, name)
    if not context["batchers"].value and context["scaled"] is None:
        raise NotFound(f"pool '{name}' has no batcher and no policy", reason="POOL_NOT_FOUND")
    decisions = await visit.part(
        "autoscaler", client.pools.list_decisions(name, only_changes=True, limit=_DECISIONS, timeout=READ_S)
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
        batchers=("control plane", visit.client.routes.list_batchers(name, timeout=READ_S)),
        every=("autoscaler", visit.client.pools.list(timeout=READ_S)),
    )
    scaled = next((one for one in parts["every"].value or () if one.name.endswith(f"/{name}")), None)
    busy = busy_of(visit, parts["batchers"]).get(name)
    return {"batchers": parts["batchers"], "scaled": scaled, "autoscaler": parts["every"], "busy": busy}


def busy_of(visit: Visit, batchers: Part[list[route_pb2.Batcher]]) -> dict[str, Busy]:
    """Return the utilisation of pools; empty for a reader limited to some models, who would see too much head-room."""
    session = visit.session
    if session.login.models is not None or batchers.value is None:
        return {}
    return visit.console.busyness.of(session.rights, batchers.value)


def lines_of(
    batchers: Sequence[route_pb2.Batcher], scaled: Sequence[autoscaler_pb2.Pool], busy: Mapping[str, Busy]
) -> list[PoolLine]:
    """Return every pool that has batchers or a policy."""
    members, policies = by_pool(batchers), {last(pool.name): pool for pool in scaled}
    return [
        PoolLine(name, members.get(name, ()), policies.get(name), busy.get(name)) for name in {**members, **policies}
    ]


def longest_wait_s(batchers: Sequence[route_pb2.Batcher]) -> float:
    """Return the longest wait that a batcher predicts."""
    return max(batcher.load.predicted_wait.ToTimedelta().total_seconds() for batcher in batchers)


def by_pool(batchers: Sequence[route_pb2.Batcher]) -> dict[str, list[route_pb2.Batcher]]:
    """Return the batchers of each pool."""
    ordered = sorted(batchers, key=lambda batcher: (batcher.pool, batcher.process))
    return {name: list(members) for name, members in groupby(ordered, key=lambda batcher: batcher.pool)}
