"""Routes of digits in the states that they go through, as the control plane decides them from one to the next.

state = serving("v1")
step = onward(seen(state, registered(2, "v2")), fleet("d2"))
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_router.control.decisions.changes import advance, registry_seen, route_written
from headrace_router.control.decisions.readiness import Fleet, Held, Phase, Report
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.routes import Route, Serves, Variant
from headrace_router.control.decisions.states import Limits, RouteState, Step, Writer

START = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits(ready_grace=timedelta(seconds=30), ready_timeout=timedelta(seconds=120))
VERSIONS = {"v1": "d1", "v2": "d2", "v3": "d3"}
ANA = Writer("ana", "test")
_ids = (UUID(int=number) for number in itertools.count(1))


def new_id() -> UUID:
    """Return an id that nothing else has."""
    return next(_ids)


def at(seconds: float) -> datetime:
    """Return the moment so long after START."""
    return START + timedelta(seconds=seconds)


def registered(epoch: int, production: str = "", incarnation: str = "one", **aliases: str) -> Registered:
    """Return what the registry says of digits; aliases: a version by each name."""
    return Registered("digits", incarnation, epoch, production, aliases, VERSIONS)


def bounded(news: Registered, share: float, *earlier: str) -> Registered:
    """Return that with a bound on versions that are not promoted; earlier: versions that rollbacks lead to."""
    return replace(news, max_unpromoted_share=share, earlier=earlier)


def fleet(*ready: str, batchers: int = 1, seconds: float = 0) -> Fleet:
    """Return batchers of the default pool that all hold these digests ready."""
    held = {digest: Held(Phase.READY) for digest in ready}
    reports = [Report("default", f"p{number}", "", at(seconds + 5), held) for number in range(batchers)]
    return Fleet(reports, at(seconds))


def seen(state: RouteState | None, news: Registered, seconds: float = 0) -> Step:
    """Return what news of the registry make of a state."""
    step = registry_seen(state, news, salt=b"0" * 16, now=at(seconds), new_id=new_id, revert=timedelta(hours=24))
    assert step is not None
    return step


def onward(state: RouteState | Step, ready: Fleet, seconds: float = 0) -> Step:
    """Return what batchers and time make of it."""
    step = state if isinstance(state, Step) else Step(state)
    return advance(step, ready, now=at(seconds), limits=LIMITS, new_id=new_id)


def numbered(step: Step, number: int = 1) -> RouteState:
    """Return the state as a store gives it back: the generation has its number."""
    assert step.state.active is not None
    return replace(step.state, active=replace(step.state.active, number=number))


def serving(version: str = "v1", epoch: int = 1) -> RouteState:
    """Return a model whose implicit route serves its production version."""
    return numbered(onward(seen(None, registered(epoch, version)), fleet(VERSIONS[version])))


def split(first: float, second: float, etag: str = "e1") -> Route:
    """Return a route with two arms."""
    variants = (Variant("control", Serves.VERSION, "v1", first), Variant("treatment", Serves.VERSION, "v2", second))
    return Route("digits", variants, etag=etag)


def write(state: RouteState, route: Route, read_etag: str = "", seconds: float = 0, writer: Writer = ANA) -> Step:
    """Return what a declared route makes of a state."""
    return route_written(state, route, read_etag=read_etag, change=new_id(), writer=writer, now=at(seconds))
