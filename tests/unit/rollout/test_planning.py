"""What a plan says of each step, from the traffic of late."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_rollout.decisions import planned_steps
from headrace_rollout.decisions.headroom import PoolLoad, VariantTraffic, room_of
from headrace_rollout.decisions.policies import Policy, Strategy

from tests.kit.rollout.rollouts import CANARY

MINUTE_S = 60.0
NOTHING = VariantTraffic(MINUTE_S, 0, 0, 0)


def traffic(rps: float, *, cached: float = 0.0, errors: float = 0.001) -> VariantTraffic:
    """Return a minute of so many requests a second."""
    requests = round(rps * MINUTE_S)
    online = round(requests * (1 - cached))
    return VariantTraffic(MINUTE_S, requests, online - round(online * errors), round(online * errors))


def planned(policy: Policy, variant: VariantTraffic, *, coverage: float = 0.0, pool: PoolLoad | None = None):
    """Return what each step would do for a version that answered nothing yet."""
    return planned_steps.planned(policy, variant, room_of(variant, NOTHING, coverage, pool))


def test_a_cold_cache_costs_what_the_old_version_had_from_it():
    first, *_, last = planned(CANARY, traffic(1000, cached=0.8))
    assert first.extra_online_rps == pytest.approx(1000 * 0.05 * 0.8, rel=0.01)
    assert last.extra_online_rps == pytest.approx(800, rel=0.01)
    assert planned(CANARY, traffic(1000))[0].extra_online_rps == pytest.approx(0)


def test_the_more_traffic_the_smaller_the_effect_that_is_found():
    found = [planned(CANARY, traffic(rps))[0].detectable_rate or 1.0 for rps in (20, 200, 2300, 7000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.05 > found[2]


def test_without_traffic_nothing_would_be_found():
    assert planned(CANARY, NOTHING)[0].detectable_rate is None


def test_what_is_not_judged_finds_nothing():
    steps = planned(replace(CANARY, strategy=Strategy.ROLLING), traffic(1000))
    assert {step.detectable_rate for step in steps} == {None}


def test_a_step_says_how_much_of_it_the_pool_has_room_for():
    busy = PoolLoad(batchers=2, busy=1.2, request_s=0.002)
    first, middle, last = planned(CANARY, traffic(1000, cached=0.8), pool=busy)
    # 0.4 s of each second are free below 80 %: 200 requests/s more, where each percent costs 8.
    assert (first.fitting_share, middle.fitting_share, last.fitting_share) == (None, 0.25, 0.25)


def test_what_is_precomputed_for_the_version_is_not_computed():
    precomputed = VariantTraffic(MINUTE_S, 60_000, 12_000, 0, precomputed=30_000)
    whole, half, none = (
        planned(CANARY, precomputed, coverage=coverage)[-1].extra_online_rps for coverage in (1.0, 0.5, 0.0)
    )
    assert (whole, half, none) == (pytest.approx(300), pytest.approx(550), pytest.approx(800))
