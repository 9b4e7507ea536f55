"""What a write would do is what it does: shares, versions, who moves, what it waits for, who stands in the way."""

from dataclasses import replace

import pytest
from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.allocation import moved_buckets
from headrace_router.control.decisions.assignment import Assignment, Subject, assign
from headrace_router.control.decisions.preview import Shift, preview
from headrace_router.control.decisions.readiness import Fleet, Held, Phase, Report
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.routes import Route, Serves, Unit, Variant
from headrace_router.control.decisions.states import RouteState, Writer
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import Aborted, NotFound
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.router.route_states import ANA, VERSIONS, at, fleet, numbered, onward, serving, write

GERMANS = Rule("germans", (Condition("country", Operator.EQUALS, ("DE",)),), "c")
ALL_READY = fleet("d1", "d2", "d3")
weights = st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any)


def route(*shares: float, rules: tuple[Rule, ...] = (), **fields) -> Route:
    variants = (
        Variant(name, Serves.VERSION, version, share)
        for name, version, share in zip("abc", VERSIONS, shares, strict=False)
    )
    return Route("digits", tuple(variants), rules=rules, **fields)


def written(state: RouteState, wanted: Route, writer: Writer = ANA) -> RouteState:
    """Return the state in which it is in force."""
    return numbered(onward(write(state, wanted, state.declared.etag, writer=writer), ALL_READY))


def seen(state: RouteState, wanted: Route, *subjects: Subject, ready: Fleet = ALL_READY, **how):
    how = {"read_etag": "", "manager": "", **how}
    return preview(state, wanted, subjects=subjects, fleet=ready, **how)


@given(weights, weights)
def test_what_is_foretold_is_what_happens(first, second):
    before = written(serving(), route(*first))
    foretold = seen(before, route(*second))
    after = written(before, route(*second))
    assert before.active is not None
    assert after.active is not None
    assert foretold.table == after.active.table
    assert foretold.moved_share == moved_buckets(before.active.table.ranges, after.active.table.ranges) / BUCKETS
    assert foretold.moved_version_share == foretold.moved_share  # each variant has a version of its own
    assert sum(one.share_after - one.share_before for one in foretold.shifts) == pytest.approx(0)


def test_three_arms_move_only_what_growing_arms_need():
    before = written(serving(), route(80, 10, 10))
    foretold = seen(before, route(70, 10, 20))
    assert foretold.moved_share == 0.1
    assert [(one.share_before, one.share_after) for one in foretold.shifts] == [(0.8, 0.7), (0.1, 0.1), (0.1, 0.2)]


def test_the_arm_that_nobody_named_counts_as_its_heir():
    foretold = seen(serving(), route(90, 10))
    assert foretold.shifts == (Shift("a", 1.0, 0.9, "v1", "v1"), Shift("b", 0.0, 0.1, "", "v2"))
    assert (foretold.moved_share, foretold.moved_version_share) == (0.1, 0.1)


def test_a_variant_that_goes_is_shown_and_a_new_name_for_a_version_moves_no_version():
    before = written(serving(), route(50, 50))
    renamed = Route("digits", (Variant("x", Serves.VERSION, "v1", 1.0), Variant("y", Serves.VERSION, "v2", 1.0)))
    foretold = seen(before, renamed)
    assert [one.variant for one in foretold.shifts] == ["x", "y", "a", "b"]
    assert foretold.shifts[2] == Shift("a", 0.5, 0.0, "v1", "")
    assert foretold.moved_share == 1.0
    assert foretold.moved_version_share < 1.0


def test_what_is_not_loaded_is_waited_for_and_named():
    foretold = seen(serving(), route(50, 50), ready=fleet("d1"))
    assert "'v2' is ready on 0 of 1" in foretold.waits_for
    assert [(one.needed.version, one.ready, in_force) for one, in_force in foretold.versions] == [
        ("v1", 1, True),
        ("v2", 0, False),
    ]
    assert seen(serving(), route(50, 50)).waits_for == ""


def test_a_dry_run_waits_for_every_batcher_as_a_write_does_at_first():
    half = [
        Report("default", name, "", at(5), {"d1": Held(Phase.READY), **more})
        for name, more in (("p1", {"d2": Held(Phase.READY)}), ("p2", {}))
    ]
    assert "'v2' is ready on 1 of 2" in seen(serving(), route(50, 50), ready=Fleet(half, at(0))).waits_for


def test_a_dry_run_names_the_holder_to_others_only():
    held = written(serving(), route(50, 50, managed_by="rollouts/7"), Writer("rollout", manager="rollouts/7"))
    assert seen(held, route(1, 1)).displaced == "rollouts/7"
    assert seen(held, route(1, 1), manager="rollouts/7").displaced == ""


def test_a_dry_run_refuses_what_the_write_would():
    state = written(serving(), route(50, 50, etag="e1"))
    with pytest.raises(Aborted):
        seen(state, route(1, 1), read_etag="e0")
    missing = Route("digits", (Variant("a", Serves.VERSION, "v9", 1.0),))
    with pytest.raises(NotFound):
        seen(state, missing)


def test_examples_are_told_where_they_go_before_and_after():
    before = written(serving(), route(100, 0, 0))
    wanted = route(100, 0, 0, rules=(GERMANS,))
    german, anybody = Subject("ana", attributes={"country": "DE"}), Subject("ana", attributes={"country": "FR"})
    (was, now), (same, still) = seen(before, wanted, german, anybody).subjects
    assert (was.variant, was.version, was.rule) == ("a", "v1", "")
    assert (now.variant, now.version, now.rule) == ("c", "v3", "germans")
    assert same == still


def test_while_nothing_serves_every_share_begins_at_nothing():
    registered = Registered("digits", "one", 1, "", {}, VERSIONS)
    foretold = seen(RouteState("digits", b"0" * 16, registered), route(50, 50), Subject("ana"))
    assert [one.share_before for one in foretold.shifts] == [0.0, 0.0]
    assert (foretold.moved_share, foretold.moved_version_share) == (0.0, 0.0)
    ((was, now),) = foretold.subjects
    assert was == Assignment()
    assert now.variant in ("a", "b")


@pytest.mark.parametrize(
    ("unit", "subject", "decided"),
    [
        (Unit.ANY, Subject("ana"), True),
        (Unit.ANY, Subject(entity_id="item"), True),
        (Unit.ANY, Subject(), False),
        (Unit.USER, Subject(entity_id="item"), False),
        (Unit.ENTITY, Subject("ana", "item"), True),
        (Unit.ENTITY, Subject("ana"), False),
        (Unit.REQUEST, Subject("ana", "item"), False),
    ],
)
def test_a_request_without_its_unit_is_assigned_anew_each_time(unit, subject, decided):
    state = written(serving(), replace(route(50, 50), unit=unit))
    assert state.active is not None
    found = assign(state.active.table, state.salt, subject)
    assert (found.variant != "", found.bucket is not None) == (decided, decided)
