"""What the registry has to keep for the router: what somebody names, not what is merely in production."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.named import named_versions
from headrace_router.control.decisions.resolve import Registered, ResolvedVariant
from headrace_router.control.decisions.routes import Route, Serves, Variant, implicit
from headrace_router.control.decisions.states import Change, Generation, Kind, RouteState, Table

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PRODUCTION = Variant("stable", Serves.PRODUCTION, "", 90.0)
NAMED = Variant("old", Serves.VERSION, "v1", 5.0)
ALIAS = Variant("canary", Serves.ALIAS, "champion", 5.0)
ARMS = {"stable": "v3", "old": "v1", "canary": "v2"}


def table(*variants: Variant) -> Table:
    return Table(tuple(ResolvedVariant(one.name, ARMS[one.name], f"d-{one.name}", "default") for one in variants), ())


def state(*variants: Variant) -> RouteState:
    registered = Registered("digits", "one", 1)
    generation = Generation(1, table(*variants), 1, NOW, UUID(int=1))
    return RouteState("digits", b"", registered, route=Route("digits", variants, etag="e"), active=generation)


def named(*states: RouteState, leases=()) -> set[str]:
    return {version for _, version in named_versions(states, leases, NOW)}


def test_versions_that_a_route_names_by_id_or_alias_are_needed():
    assert named(state(PRODUCTION, NAMED, ALIAS)) == {"v1", "v2"}


def test_a_route_that_only_follows_production_names_nothing():
    assert named(state(PRODUCTION)) == set()


def test_the_implicit_route_names_nothing():
    variant = ResolvedVariant("production", "v3", "d", "default")
    active = Generation(1, Table((variant,), ()), 1, NOW, UUID(int=1))
    assert named(replace(state(), route=None, active=active)) == set()


def test_what_a_pending_write_names_is_needed_beside_what_serves():
    pending = Change(UUID(int=2), Kind.WRITE, Route("digits", (NAMED,)), table(NAMED), 1, NOW, 0.0)
    assert named(replace(state(ALIAS), pending=pending)) == {"v1", "v2"}
    follows = replace(pending, kind=Kind.REGISTRY, route=implicit("digits"))
    assert named(replace(state(PRODUCTION), pending=replace(follows, table=Table((), ())))) == set()


def test_what_a_model_that_serves_nothing_yet_waits_for_is_needed():
    pending = Change(UUID(int=2), Kind.WRITE, Route("digits", (NAMED,)), table(NAMED), 1, NOW, 0.0)
    assert named(replace(state(), route=None, active=None, pending=pending)) == {"v1"}


def test_leases_count_until_they_end_and_only_for_models_that_exist():
    lease = Lease("digits", "v9", "d-v9", "default", "rollouts/7", NOW + timedelta(seconds=1))
    assert named(state(PRODUCTION), leases=[lease]) == {"v9"}
    assert named(state(PRODUCTION), leases=[replace(lease, expires_at=NOW)]) == set()
    assert named(state(PRODUCTION), leases=[replace(lease, model="gone")]) == set()


def test_each_is_known_from_the_registry_that_the_model_is_known_from():
    assert named_versions([state(NAMED)], [], NOW) == {("digits", "v1"): "one"}
