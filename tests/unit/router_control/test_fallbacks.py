"""What fallbacks name: resolved like variants, kept ready and held, fitting what serves, holding up no promotion."""

from dataclasses import replace
from datetime import timedelta

import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_router.control.decisions.changes import route_written, why_not_wanted
from headrace_router.control.decisions.demand import Need, demand
from headrace_router.control.decisions.fallback_steps import Backup, Constant, FallbackStep, Precomputed
from headrace_router.control.decisions.lookups import Lookup, Mode
from headrace_router.control.decisions.named import named_versions
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.readiness import Fleet, Held, Phase, Report
from headrace_router.control.decisions.resolve import Resolution, ResolvedBackup, ResolvedVariant, Unresolved, resolve
from headrace_router.control.decisions.routes import Route, Variant
from headrace_router.control.decisions.states import Announcement, Outcome, RouteState, Step
from headrace_router.control.decisions.version_fit import Contract, fallback_violations
from headrace_router.control.messages import lookups, watches
from headrace_router.control.storage.store import Entry
from headrace_servicekit.errors import FieldViolation, InvalidArgument, NotFound

from tests.kit.router.route_states import ANA, START, at, fleet, new_id, numbered, onward, registered, seen, serving

PRODUCTION = Variant("stable", Serves.PRODUCTION, "", 1.0)
OLD = FallbackStep("old", Backup(Serves.VERSION, "v1", "default"))
CHAMPION = FallbackStep("champion", Backup(Serves.ALIAS, "champion", "default"))
ELSEWHERE = FallbackStep("elsewhere", Backup(None, "", "cpu"))


def route(*steps: FallbackStep, **fields) -> Route:
    return Route("digits", (PRODUCTION,), etag="e1", fallback=steps, **fields)


def written(state: RouteState, wanted: Route, **fields) -> Step:
    etag = state.declared.etag
    return route_written(state, wanted, read_etag=etag, change=new_id(), writer=ANA, now=START, **fields)


def everywhere(*ready: str, seconds: float = 0) -> Fleet:
    """A batcher in each of two pools that holds these digests ready."""
    held = {digest: Held(Phase.READY) for digest in ready}
    return Fleet([Report(pool, pool, "", at(seconds + 5), held) for pool in ("default", "cpu")], at(seconds))


ALL = everywhere("d1", "d2", "d3")


def in_force(wanted: Route, production: str = "v2", **aliases: str) -> RouteState:
    """A model whose production version serves, under a route with fallbacks."""
    state = serving(production)
    if aliases:
        state = numbered(onward(seen(state, registered(2, production, **aliases)), fleet("d1", "d2", "d3")))
    after = onward(written(state, wanted), ALL)
    assert after.announcement is Announcement.TABLE
    return numbered(after, 2)


def test_backups_are_resolved_like_variants():
    found = resolve(route(OLD, CHAMPION, ELSEWHERE), registered(1, "v2", champion="v3"))
    assert isinstance(found, Resolution)
    assert found.backups == (
        ResolvedBackup("old", "v1", "d1", "default"),
        ResolvedBackup("champion", "v3", "d3", "default"),
        ResolvedBackup("elsewhere", "", "", "cpu"),
    )


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (FallbackStep("x", Backup(Serves.VERSION, "v9", "default")), "version"),
        (FallbackStep("x", Backup(Serves.ALIAS, "nobody", "default")), "follow_alias"),
    ],
)
def test_a_backup_that_names_nothing_is_refused_by_its_field(step: FallbackStep, field: str):
    with pytest.raises(NotFound) as caught:
        written(serving("v1"), route(OLD, step))
    assert caught.value.reason == "VERSION_NOT_FOUND"
    assert [one.field for one in caught.value.violations] == [f"route.fallback[1].backup.{field}"]


def test_a_write_waits_for_its_backups_and_is_dropped_when_they_do_not_become_ready():
    step = written(serving("v2"), route(OLD))
    waits = onward(step, fleet("d2"))
    assert waits.state.pending is not None
    still = onward(waits.state, fleet("d2"), seconds=60)
    assert still.state.pending is not None
    dropped = onward(waits.state, fleet("d2"), seconds=120)
    assert [(one.outcome, "v1" in one.reason) for one in dropped.ended] == [(Outcome.NOT_READY, True)]
    assert onward(waits.state, fleet("d1", "d2")).announcement is Announcement.TABLE


def test_the_version_of_the_variant_is_needed_in_the_other_pool():
    table = onward(written(serving("v2"), route(ELSEWHERE)), fleet("d2")).state.pending
    assert table is not None
    assert {(one.version, one.pool) for one in table.table.needs} == {("v2", "default"), ("v2", "cpu")}


def test_a_promotion_waits_for_a_backup_only_for_a_while():
    state = in_force(route(CHAMPION), champion="v2")
    news = seen(state, registered(3, "v3", champion="v1"))
    assert onward(news, fleet("d2", "d3")).announcement is None
    after = onward(news.state, fleet("d2", "d3", seconds=30), seconds=30)
    assert after.announcement is Announcement.TABLE
    assert after.state.active is not None
    assert [one.version for one in after.state.active.table.backups] == ["v1"]


def test_a_variant_waits_for_a_version_that_was_in_force_as_a_backup_alone():
    state = in_force(route(CHAMPION), champion="v1")
    news = seen(state, registered(3, "v1", champion="v1"))  # its batchers have lost v1 meanwhile
    assert onward(news.state, fleet("d2", seconds=60), seconds=60).announcement is None


def test_an_alias_that_is_gone_holds_up_no_promotion_and_the_backup_stays_what_it_was():
    state = in_force(route(CHAMPION), champion="v1")
    news = seen(state, registered(3, "v3"))
    after = onward(news, fleet("d1", "d2", "d3"))
    assert after.announcement is Announcement.TABLE
    assert after.state.active is not None
    assert [one.version for one in after.state.active.table.variants] == ["v3"]
    assert [one.version for one in after.state.active.table.backups] == ["v1"]
    assert "champion" in (why_not_wanted(after.state) or "")


def test_a_change_of_the_lookup_alone_is_a_new_generation_that_moves_nobody():
    state = in_force(route(OLD))
    step = onward(written(state, route(OLD, lookup=Lookup(Mode.ONLINE))), fleet("d1", "d2"))
    assert step.announcement is Announcement.TABLE
    assert [one.change.moved_share for one in step.ended] == [0.0]
    assert step.state.active is not None
    assert step.state.active.table.lookup == Lookup(Mode.ONLINE)


def test_a_fallback_survives_what_follows_the_registry():
    after = onward(seen(in_force(route(OLD)), registered(2, "v3")), fleet("d1", "d2", "d3")).state.active
    assert after is not None
    assert after.table.fallback == (OLD,)


def test_backups_are_in_demand_and_held_and_what_only_follows_production_is_not_held():
    state = in_force(route(OLD, ELSEWHERE, FallbackStep("same", Backup(Serves.PRODUCTION, "", "cpu"))))
    assert [one.version for one in demand("default", [state], [], [], START)] == ["v1", "v2"]
    assert [(one.version, one.need) for one in demand("cpu", [state], [], [], START)] == [("v2", Need.ACTIVE)]
    assert set(named_versions([state], [], START)) == {("digits", "v1")}


def test_a_rollback_would_load_into_the_pools_of_backups_too():
    promoted = onward(seen(in_force(route(ELSEWHERE)), registered(2, "v3")), ALL)
    wanted = demand("cpu", [numbered(promoted, 3)], [], [], at(60))
    assert [(one.version, one.need) for one in wanted] == [("v3", Need.ACTIVE), ("v2", Need.REVERT)]


def test_a_backup_has_the_signature_of_what_it_backs_up():
    resolved = Resolution(
        (ResolvedVariant("a", "v2", "d2", "default"),),
        (ResolvedBackup("same", "", "", "cpu"), ResolvedBackup("old", "v1", "d1", "cpu")),
    )
    contracts = {"d1": Contract("one", ()), "d2": Contract("two", ())}
    found = fallback_violations((ELSEWHERE, OLD), resolved, contracts)
    assert [one.field for one in found] == ["route.fallback[1].backup"]
    assert fallback_violations((ELSEWHERE, OLD), resolved, {**contracts, "d1": Contract("two", ())}) == []


def test_what_does_not_fit_is_not_written():
    def fits(wanted: Route, resolved: Resolution) -> list[FieldViolation]:
        return [FieldViolation("route.fallback[0].backup", "another signature")]

    with pytest.raises(InvalidArgument) as caught:
        written(serving("v1"), route(OLD), fits=fits)
    assert (caught.value.reason, caught.value.violations[0].field) == ("ROUTE_INVALID", "route.fallback[0].backup")


# -- what data planes are told -----------------------------------------------------------------------------------------


def test_a_table_tells_what_steps_name_and_the_versions_of_all():
    state = in_force(route(OLD, ELSEWHERE, FallbackStep("filled", Precomputed(), timedelta(milliseconds=5))))
    versions = {f"d{n}": control_pb2.ResolvedVersion(digest=f"d{n}").SerializeToString() for n in (1, 2)}
    table = watches.table_to_proto(Entry(2, "digits", Announcement.TABLE, b"s", state.active), versions)
    assert [(one.name, one.WhichOneof("source")) for one in table.fallback] == [
        ("old", "backup"),
        ("elsewhere", "backup"),
        ("filled", "precomputed"),
    ]
    assert [(one.backup.digest, one.backup.pool) for one in table.fallback[:2]] == [("d1", "default"), ("", "cpu")]
    assert table.fallback[2].min_time_left.ToMilliseconds() == 5
    assert [one.digest for one in table.versions] == ["d2", "d1"]
    assert [one.digest for one in table.stored_answers] == ["d2", "d1"]


def test_a_backup_that_names_nothing_is_not_told():
    state = in_force(route(CHAMPION), champion="v1")
    assert state.active is not None
    active = replace(state.active, table=replace(state.active.table, backups=()))
    versions = {"d2": control_pb2.ResolvedVersion(digest="d2").SerializeToString()}
    assert not watches.table_to_proto(Entry(2, "digits", Announcement.TABLE, b"s", active), versions).fallback


def test_values_that_a_later_version_cannot_have_given_are_unfit():
    row = route_pb2.FallbackStep.Row(outputs={"y": route_pb2.FallbackStep.Values(numbers=[1, 2])})
    state = in_force(route(FallbackStep("last", Constant(row.SerializeToString()))))
    assert state.active is not None
    spec = {"name": "y", "datatype": "FP32"}
    fits, not_any_more = (
        {"d2": control_pb2.ResolvedVersion(digest="d2", contract={"outputs": [{**spec, "shape": shape}]})}
        for shape in ([2], [3])
    )
    encoded = [{digest: one.SerializeToString() for digest, one in each.items()} for each in (fits, not_any_more)]
    assert lookups.unfit(state.active.table, encoded[0]) == {}
    assert set(lookups.unfit(state.active.table, encoded[1])) == {"last"}


def test_an_unresolved_backup_says_which_field_it_is():
    found = resolve(route(CHAMPION), registered(1, "v1"))
    assert isinstance(found, Unresolved)
    assert found.field == "fallback[0].backup.follow_alias"
