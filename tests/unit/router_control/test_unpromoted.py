"""How much of a route's traffic versions may get that are not promoted."""

from dataclasses import replace

import pytest
from headrace_router.control.decisions.changes import why_not_wanted
from headrace_router.control.decisions.preview import preview
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.routes import Route, Serves, Variant
from headrace_router.control.decisions.states import Kind, Outcome, RouteState, Step, Writer
from headrace_router.control.storage.documents import state_from_document, state_to_document
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import PreconditionFailed

from tests.kit.router.route_states import bounded, fleet, numbered, onward, registered, seen, serving, write

ALL = fleet("d1", "d2", "d3")
HALF = 0.5


def in_production(version: str = "v1", share: float = HALF, *earlier: str) -> RouteState:
    """Return a model whose implicit route serves its production version, with a bound."""
    return numbered(onward(seen(None, bounded(registered(1, version), share, *earlier)), ALL))


def route(etag: str = "e1", **shares: float) -> Route:
    """Return a route that pins versions: `v1=90, v2=10`, `production` follows, `a_NAME` follows an alias."""

    def variant(name: str, weight: float) -> Variant:
        if name == "production":
            return Variant(name, Serves.PRODUCTION, "", weight)
        if name.startswith("a_"):
            return Variant(name.replace("_", "-"), Serves.ALIAS, name[2:], weight)
        return Variant(name, Serves.VERSION, name, weight)

    return Route("digits", tuple(variant(name, weight) for name, weight in shares.items()), etag=etag)


def served(state: RouteState, wanted: Route, read_etag: str = "", writer: Writer | None = None) -> RouteState:
    """Return the state once a write is in force."""
    step = write(state, wanted, read_etag, writer=writer) if writer else write(state, wanted, read_etag)
    return numbered(onward(step, ALL), 2)


def refused(state: RouteState, wanted: Route, read_etag: str = "", writer: Writer | None = None) -> PreconditionFailed:
    """Return the refusal of a write."""
    with pytest.raises(PreconditionFailed) as failed:
        served(state, wanted, read_etag, writer)
    assert failed.value.reason == "UNPROMOTED_SHARE_EXCEEDED"
    return failed.value


@pytest.mark.parametrize("shares", [{"v2": 100}, {"v1": 49, "v2": 51}, {"production": 40, "v2": 30, "v3": 30}])
def test_versions_that_nobody_promoted_get_no_more_together_than_the_bound(shares):
    refused(in_production(), route(**shares))


@pytest.mark.parametrize(
    "shares",
    [{"v1": 50, "v2": 50}, {"production": 50, "v2": 25, "v3": 25}, {"production": 1, "v2": 0, "v3": 0}, {"v1": 7}],
)
def test_up_to_the_bound_and_without_weight_they_get_it(shares):
    assert served(in_production(), route(**shares)).route is not None


def test_the_refusal_names_variants_share_bound_and_what_to_do():
    error = refused(in_production(), route(v1=10, v2=60, v3=30))
    told = error.public_message
    for part in ("'v2' (v2)", "'v3' (v3)", "90 %", "50 %", "max_unpromoted_share", "promote", "rollout"):
        assert part in told
    assert [one.field for one in error.violations] == ["route.variants[1].weight", "route.variants[2].weight"]
    assert error.metadata["variants"] == "v2,v3"
    assert (error.metadata["share"], error.metadata["bound"]) == ("0.9", "0.5")


def test_a_version_that_was_in_production_may_have_it_all():
    assert served(in_production("v2", HALF, "v1"), route(v1=100)).route is not None


def test_nothing_is_bounded_where_nobody_set_a_bound_or_the_registry_knows_none():
    assert served(in_production(share=1.0), route(v2=100)).route is not None
    assert served(serving("v1"), route(v2=100)).route is not None


def test_a_bound_of_zero_leaves_shadows():
    refused(in_production(share=0.0), route(v1=99, v2=1))
    assert served(in_production(share=0.0), route(v1=99, v2=0)).route is not None


def test_rules_count_as_nothing():
    ruled = Rule("staff", (Condition("country", Operator.EQUALS, ("AT",)),), "v2")
    assert served(in_production(), replace(route(v1=1, v2=0), rules=(ruled,))).route is not None


def test_a_model_with_nothing_in_production_serves_nothing_by_a_split_either():
    refused(onward(seen(None, bounded(registered(1), HALF)), ALL).state, route(v1=100))


def test_a_rollout_may_go_to_the_end_and_an_experiment_may_not():
    assert served(in_production(), route(v2=100), writer=Writer("internal", manager="rollouts/7")).route is not None
    refused(in_production(), route(v2=100), writer=Writer("internal", manager="experiments/7"))


def test_who_takes_the_route_from_a_rollout_gives_the_version_no_more():
    taken = Writer("ana", force=True)
    managed = replace(route(v1=90, v2=10), managed_by="rollouts/7")
    state = served(in_production(share=0.05), managed, writer=Writer("internal", manager="rollouts/7"))
    refused(state, route("e2", v1=80, v2=20), "e1", taken)
    assert served(state, route("e2", v1=90, v2=10), "e1", taken).in_force.managed_by == ""


def test_what_serves_goes_on_and_may_be_made_less():
    state = served(serving("v1"), route(v2=100))
    state = numbered(onward(seen(state, bounded(registered(2, "v1"), HALF)), ALL), 3)
    assert state.active is not None
    assert [one.version for one in state.active.table.variants] == ["v2"]
    assert why_not_wanted(state) is None
    assert served(state, route("e2", v1=20, v2=80), "e1").route is not None
    refused(state, route("e2", v2=95, v3=5), "e1")


def test_what_serves_may_be_given_to_another_one_that_serves_so_that_an_experiment_can_be_stopped():
    state = served(serving("v1"), route(v2=50, v3=50))
    state = numbered(onward(seen(state, bounded(registered(2, "v1"), HALF)), ALL), 3)
    assert served(state, route("e2", v2=100), "e1", Writer("internal", manager="experiments/7")).route is not None


def test_a_bound_that_comes_while_a_write_waits_is_asked_when_it_would_take_effect():
    waiting = write(serving("v1"), route(v2=100)).state
    step = onward(seen(waiting, bounded(registered(2, "v1"), HALF)), ALL)
    assert step.ended[-1].outcome is Outcome.SUPERSEDED
    assert "max_unpromoted_share" in step.ended[-1].reason
    assert (step.state.route, step.state.pending) == (None, None)


def alias_route(news: Registered, share: float = 60) -> RouteState:
    """Return a route that follows production and an alias of v1."""
    state = numbered(onward(seen(None, news), ALL))
    return served(state, route(production=100 - share, a_champion=share))


def versions(step: Step) -> list[str]:
    """Return what variants serve after a step."""
    assert step.state.active is not None
    return [one.version for one in step.state.active.table.variants]


def test_an_alias_that_is_moved_to_such_a_version_is_not_followed_and_the_status_says_why():
    state = alias_route(bounded(registered(1, "v1", champion="v1"), HALF))
    held = onward(seen(state, bounded(registered(2, "v1", champion="v2"), HALF)), ALL)
    assert versions(held) == ["v1", "v1"]
    assert "'a-champion' (v2)" in (why_not_wanted(held.state) or "")
    assert held.state.active is not None
    assert held.state.active.epoch == 1, "who waits for the alias is not told yes"


def test_nothing_else_waits_behind_an_alias_that_is_held():
    state = alias_route(bounded(registered(1, "v1", champion="v1"), HALF))
    held = onward(seen(state, bounded(registered(2, "v1", champion="v2"), HALF)), ALL)
    promoted = onward(seen(held.state, bounded(registered(3, "v3", champion="v2"), HALF, "v1")), ALL)
    assert versions(promoted) == ["v3", "v1"]


def test_an_alias_that_is_held_is_followed_once_its_version_is_promoted_or_the_bound_allows_it():
    state = alias_route(bounded(registered(1, "v1", champion="v1"), HALF))
    held = onward(seen(state, bounded(registered(2, "v1", champion="v2"), HALF)), ALL).state
    raised = onward(seen(held, bounded(registered(3, "v1", champion="v2"), 0.6)), ALL)
    assert versions(raised) == ["v1", "v2"]
    promoted = onward(seen(held, bounded(registered(3, "v2", champion="v2"), HALF, "v1")), ALL)
    assert versions(promoted) == ["v2", "v2"]
    assert promoted.ended[-1].change.kind is Kind.REGISTRY


def test_a_rollback_takes_effect_though_a_split_pins_what_it_took_out():
    state = served(in_production("v2", HALF, "v1"), route(production=10, v2=90))
    back = onward(seen(state, bounded(registered(2, "v1"), HALF)), ALL)
    assert versions(back) == ["v1", "v2"]


def test_a_dry_run_says_the_same():
    def told(wanted: Route) -> str:
        return preview(in_production(), wanted, read_etag="", manager="", subjects=(), fleet=ALL).excess

    assert "'v2' (v2)" in told(route(v2=100))
    assert told(route(v1=50, v2=50)) == ""


def test_a_bound_of_the_epoch_that_is_known_is_news_after_an_upgrade():
    before, after = registered(5, "v1"), bounded(registered(5, "v1"), HALF)
    assert after.newer_than(before)
    assert not after.newer_than(after)
    assert not before.newer_than(after), "a registry of the release before says nothing of bounds"


def test_a_state_keeps_its_bound_and_is_not_written_by_who_would_drop_it():
    state = in_production("v2", 0.25, "v1")
    document = state_to_document(state)
    assert state_from_document(document).registered == state.registered
    assert document["needs"] == document["writer"] == 4
    for added in ("earlier", "max_unpromoted_share"):
        del document[added]
    assert state_from_document(document).registered == replace(state.registered, earlier=(), max_unpromoted_share=None)
