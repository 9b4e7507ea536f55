"""Which versions batchers are to hold, and which data planes may still serve older ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_router.control.decisions.acks import DataPlane, oldest_in_use
from headrace_router.control.decisions.demand import Lease, Need, demand
from headrace_router.control.decisions.resolve import Registered, ResolvedVariant
from headrace_router.control.decisions.routes import Route, Serves, Variant, implicit
from headrace_router.control.decisions.states import Change, Generation, Kind, Previous, RouteState, Table

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def table(*versions: str, pool: str = "default") -> Table:
    return Table(tuple(ResolvedVariant(one, one, f"d-{one}", pool) for one in versions), ())


def state(active: Table | None = None, pending: Table | None = None, model: str = "digits") -> RouteState:
    known = RouteState(model, b"", Registered(model, "", 1))
    if active is not None:
        known = replace(known, active=Generation(1, active, 1, NOW, UUID(int=1)))
    if pending is not None:
        change = Change(UUID(int=2), Kind.REGISTRY, implicit(model), pending, 2, NOW, 0.0)
        known = replace(known, pending=change)
    return known


def needs(pool: str, *states: RouteState, in_use=(), leases=(), now: datetime = NOW) -> list[tuple[str, Need]]:
    return [(one.version, one.need) for one in demand(pool, states, in_use, leases, now)]


def test_what_serves_comes_before_what_waits():
    known = state(table("v2"), table("v1", "v2"))
    assert needs("default", known) == [("v2", Need.ACTIVE), ("v1", Need.PENDING)]
    assert needs("cpu", known) == []


def test_a_version_serves_in_the_pool_that_its_variant_names():
    both = state(Table((*table("v1").variants, *table("v2", pool="cpu").variants), ()))
    assert needs("default", both) == [("v1", Need.ACTIVE)]
    assert needs("cpu", both) == [("v2", Need.ACTIVE)]


def test_the_version_that_left_production_is_kept_for_its_window_where_production_is_followed():
    known = replace(state(table("v2")), previous=Previous("v1", "d-v1", NOW + timedelta(hours=24)))
    assert needs("default", known) == [("v2", Need.ACTIVE), ("v1", Need.REVERT)]
    assert needs("cpu", known) == []
    assert needs("default", known, now=NOW + timedelta(hours=24)) == [("v2", Need.ACTIVE)]
    pinned = replace(known, route=Route("digits", (Variant("a", Serves.VERSION, "v2", 1.0),), etag="e"))
    assert needs("default", pinned) == [("v2", Need.ACTIVE)]


def test_what_a_data_plane_may_still_serve_is_active():
    known = state(table("v2"))
    assert needs("default", known, in_use=[("digits", table("v1"))]) == [("v1", Need.ACTIVE), ("v2", Need.ACTIVE)]


def test_a_lease_wants_a_version_that_no_route_names_until_it_ends():
    known = replace(state(table("v2")), previous=Previous("v1", "d-v1", NOW + timedelta(hours=24)))
    leases = [
        Lease("digits", version, f"d-{version}", "default", "rollouts/7", NOW + timedelta(seconds=60))
        for version in ("v3", "v2")
    ]
    everything = [("v2", Need.ACTIVE), ("v3", Need.LEASED), ("v1", Need.REVERT)]
    assert needs("default", known, leases=leases) == everything
    assert needs("cpu", known, leases=leases) == []
    assert ("v3", Need.LEASED) not in needs("default", known, leases=leases, now=NOW + timedelta(seconds=60))


def plane(name: str, acknowledged: int, *, first_seen: int = 1, ago_s: float = 0) -> DataPlane:
    return DataPlane(name, acknowledged, first_seen, NOW - timedelta(seconds=ago_s))


def test_a_data_plane_that_is_not_seen_for_long_is_forgotten():
    planes = [plane("b", 3), plane("a", 2, ago_s=599), plane("gone", 1, ago_s=601)]
    since = NOW - timedelta(seconds=600)
    assert oldest_in_use(planes, since) == 2
    assert oldest_in_use([], since) is None


def test_a_new_data_plane_cannot_serve_what_was_before_it():
    assert oldest_in_use([plane("new", 0, first_seen=7)], NOW) == 7


def test_the_change_that_waits_for_a_version_is_told():
    known = state(table("v1"), table("v1", "v2"))
    lease = Lease("digits", "v3", "d-v3", "default", "rollouts/7", NOW + timedelta(minutes=1))
    told = {one.version: one.change for one in demand("default", [known], (), [lease], NOW)}
    assert told == {"v1": None, "v2": UUID(int=2), "v3": None}, "of what serves, nothing new"
