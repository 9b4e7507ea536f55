"""Who gets a version is what the resolved route says, whatever the stage of the version is."""

from __future__ import annotations

import pytest
from headrace.router.v1 import route_pb2
from headrace_client.served_shares import command_to_serve, marks, served_share

from tests.kit.clients import typed_commands

Variant = route_pb2.Variant
PINNED = [Variant(name="control", version="v1", serving_version="v1", weight=100)]
FOLLOWING = [Variant(name="production", follow_production=True, serving_version="v2", weight=1)]
SPLIT = [
    Variant(name="stable", follow_production=True, serving_version="v2", weight=90),
    Variant(name="challenger", version="v3", serving_version="v3", weight=10),
]
RETIRED = [*PINNED, Variant(name="new", follow_production=True, serving_version="v2", weight=0)]


def route(variants: list[Variant], **fields: object) -> route_pb2.Route:
    return route_pb2.Route(name="routes/digits", variants=variants, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variants", "falls_short", "said"),
    [
        pytest.param(FOLLOWING, False, "100 % of callers by variant 'production'", id="all follow production"),
        pytest.param(SPLIT, False, "90 % of callers by variant 'stable'; the others get v3", id="a declared split"),
        pytest.param(PINNED, True, "no caller; the others get v1", id="a pinned variant has everybody"),
        pytest.param(RETIRED, True, "no caller; the others get v1", id="what follows production has no weight"),
    ],
)
def test_a_version_in_production_is_served_as_far_as_variants_lead_to_it(
    variants: list[Variant], falls_short: bool, said: str
) -> None:
    found = served_share(route(variants), "v2")
    assert (found.falls_short, str(found)) == (falls_short, said)


def test_a_rule_that_leads_to_a_version_is_named_and_counts_for_no_share() -> None:
    variants = [*PINNED, Variant(name="new", version="v2", serving_version="v2", weight=0)]
    found = served_share(route(variants, rules=[route_pb2.Rule(name="germans", variant="new")]), "v2")
    assert (found.share, found.rules, found.falls_short) == (0.0, ("germans",), True)
    assert str(found) == "no caller, and users that rule 'germans' matches; the others get v1"


def test_a_version_whose_followers_still_serve_the_one_before_falls_short() -> None:
    assert served_share(route(SPLIT), "v4").falls_short


def test_versions_are_marked_where_stage_and_traffic_differ() -> None:
    assert marks("v2", route(FOLLOWING)) == {}
    assert marks("v2", route(PINNED)) == {"v1": "served, not in production", "v2": "in production, not served"}
    assert marks("v2", route(SPLIT)) == {"v3": "served, not in production"}
    assert marks("", route([])) == {}


def test_what_a_rollout_or_an_experiment_serves_is_no_surprise() -> None:
    assert marks("v2", route(SPLIT, managed_by="experiments/e1")) == {}


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("", "headrace routes split digits production=100"),
        ("experiments/e1", "headrace experiments conclude digits e1"),
        ("rollouts/7", "headrace rollouts watch digits"),
    ],
)
def test_the_command_that_changes_it_is_that_of_whoever_holds_the_route(manager: str, command: str) -> None:
    assert command_to_serve("digits", route(PINNED, managed_by=manager)) == command
    typed_commands.check(command)
