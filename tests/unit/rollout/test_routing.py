"""The routes that a rollout writes."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import route_pb2
from headrace_rollout.decisions import routes
from headrace_rollout.decisions.rollouts import State
from headrace_rollout.peers import route_of, route_text
from headrace_servicekit.errors import InvalidArgument, PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rollout.rollouts import IMPLICIT, SHADOW, rollout

Route, Variant = route_pb2.Route, route_pb2.Variant
SPLIT = Route(
    name="routes/digits",
    unit=Route.UNIT_USER,
    variants=[
        Variant(name="stable", follow_production=True, weight=90, pool="cpu"),
        Variant(name="challenger", version="v9", weight=10),
        Variant(name="idle", version="v8"),
    ],
    rules=[route_pb2.Rule(name="testers", variant="challenger", conditions=[route_pb2.Condition(attribute="a")])],
)
HOW: dict[str, Any] = {"baseline": "v1", "version": "v2"}


@given(share=st.floats(0, 1, exclude_min=True))
def test_weights_move_between_two_variants_and_sum_to_what_they_did(share: float):
    route = routes.shifted(SPLIT, "stable", share=share, sticky=True, **HOW)
    weights = {one.name: one.weight for one in route.variants}
    assert weights["stable"] + weights["rollout"] == pytest.approx(90)
    assert (weights["challenger"], weights["idle"], min(weights.values()) >= 0) == (10, 0, True)


def test_everything_else_of_a_route_stays():
    route = routes.shifted(SPLIT, "stable", share=0.25, sticky=True, **HOW)
    assert (route.rules, route.unit) == (SPLIT.rules, Route.UNIT_USER)
    added = route.variants[-1]
    assert (added.version, added.pool, added.weight) == ("v2", "cpu", 22.5)
    # What follows production would move with a promotion by hand.
    assert (route.variants[0].WhichOneof("serves"), route.variants[0].version) == ("version", "v1")


def test_requests_are_assigned_one_by_one_unless_the_policy_is_sticky():
    assert routes.shifted(IMPLICIT, "production", share=0.5, sticky=False, **HOW).unit == Route.UNIT_REQUEST
    assert routes.shifted(IMPLICIT, "production", share=0.5, sticky=True, **HOW).unit == IMPLICIT.unit


def test_users_of_other_variants_are_not_moved_by_assigning_requests():
    with pytest.raises(PreconditionFailed) as refused:
        routes.check_unit(SPLIT, sticky=False)
    assert refused.value.reason == "UNIT_IN_USE"
    routes.check_unit(SPLIT, sticky=True)
    routes.check_unit(IMPLICIT, sticky=False)


def test_the_variant_is_named_or_the_only_one_with_traffic():
    assert routes.variant_of(IMPLICIT, "").name == "production"
    assert routes.variant_of(SPLIT, "challenger").name == "challenger"
    with pytest.raises(PreconditionFailed, match="stable, challenger") as ambiguous:
        routes.variant_of(SPLIT, "")
    assert ambiguous.value.reason == "VARIANT_AMBIGUOUS"
    for name in ("nobody", "idle"):
        with pytest.raises(InvalidArgument) as refused:
            routes.variant_of(SPLIT, name)
        assert refused.value.violations[0].field == "variant"


def test_at_its_end_a_variant_goes_on_following_or_names_the_version():
    assert routes.promoted(SPLIT, "stable", "v2") == SPLIT
    assert routes.promoted(SPLIT, "challenger", "v2").variants[1].version == "v2"


def test_a_share_of_a_variant_is_less_of_all_units():
    assert routes.moved(SPLIT, "stable", 0.5) == pytest.approx(0.45)


def test_a_route_is_kept_as_it_was_declared():
    found = Route()
    found.CopyFrom(SPLIT)
    found.etag, found.managed_by, found.updated_by = "e", "", "ana"
    found.variants[0].serving_version = "v1"
    assert route_of(route_text(found)) == SPLIT


def test_a_shadow_gets_copies_and_no_weight_and_the_version_before_stays_where_it_is():
    route = routes.shadowed(SPLIT, "stable", share=0.25, **HOW)
    added = route.variants[-1]
    assert (added.name, added.version, added.pool, added.weight) == ("rollout", "v2", "cpu", 0)
    assert (route.shadowing.variant, route.shadowing.share) == ("rollout", 0.25)
    assert {one.name: one.weight for one in route.variants[:-1]} == {"stable": 90, "challenger": 10, "idle": 0}
    assert (route.variants[0].version, route.rules, route.unit) == ("v1", SPLIT.rules, Route.UNIT_USER)


def test_the_route_of_a_stage_has_a_shadow_before_the_first_step_only():
    before = rollout(SHADOW, state=State.SHADOWING)
    assert routes.staged(IMPLICIT, before) == routes.shadowed(IMPLICIT, "production", share=0.5, **HOW)
    first = rollout(SHADOW, state=State.RUNNING, step=0)
    assert routes.staged(IMPLICIT, first) == routes.shifted(IMPLICIT, "production", share=0.5, sticky=False, **HOW)
    assert not routes.staged(IMPLICIT, first).HasField("shadowing")


def test_a_route_that_has_a_shadow_already_keeps_it_and_the_remedy_is_told():
    routes.check_shadowing(IMPLICIT)
    taken = Route(name="routes/digits", shadowing=route_pb2.Shadowing(variant="mine", share=1))
    with pytest.raises(PreconditionFailed, match="to variant 'mine' already: end that first") as refused:
        routes.check_shadowing(taken)
    assert refused.value.reason == "SHADOWING_IN_USE"
