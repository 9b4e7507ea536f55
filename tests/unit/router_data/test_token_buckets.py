"""What a token bucket gives, and what data planes make of one together."""

from __future__ import annotations

import pytest
from headrace_router.data.rate_limits.decisions.bucket import Rate, take
from headrace_router.data.rate_limits.decisions.share import AHEAD_S, KEEP_S
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.router.rate_limits import admitted, limit

RATES = st.builds(Rate, st.floats(0.001, 100_000.0), st.floats(1.0, 1_000_000.0))
STEPS = st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, 10_000)), min_size=1, max_size=40)
NEW = 0.0


def given_by(rate: Rate, steps: list[tuple[float, int]], begun: float) -> list[tuple[float, int]]:
    """Return (time, tokens) of what a new bucket gives: steps are waits and how many are wanted then."""
    now, full_at, found = begun, NEW, list[tuple[float, int]]()
    for passed_s, wanted in steps:
        now += passed_s
        tokens, _, full_at = take(rate, full_at, wanted, now)
        assert 0 <= tokens <= wanted
        found.append((now, tokens))
    return found


@given(RATES, STEPS, st.sampled_from((0.0, 1e6, 1.8e9)))
def test_in_no_time_does_a_bucket_give_more_than_its_rate_and_one_burst(rate, steps, begun):
    given_at = given_by(rate, steps, begun)
    for first in range(len(given_at)):
        tokens = 0
        for now, more in given_at[first:]:
            tokens += more
            assert tokens <= rate.per_s * (now - given_at[first][0]) + rate.burst + 0.01


@given(RATES, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_who_always_wants_more_than_there_is_gets_the_whole_rate(rate, waits):
    given_at = given_by(rate, [(passed_s, 10**9) for passed_s in waits], 0.0)
    passed_s = given_at[-1][0] - given_at[0][0]
    # Of what came while the bucket was full nothing is kept.
    kept = sum(min(rate.burst, rate.per_s * wait) for wait in waits[1:])
    assert sum(tokens for _, tokens in given_at) >= rate.burst + kept - len(waits) - 1
    assert sum(tokens for _, tokens in given_at) <= rate.burst + rate.per_s * passed_s + 0.01


@given(RATES, st.integers(1, 100))
def test_after_the_time_that_is_told_there_is_a_token_and_just_before_there_is_none(rate, asks):
    tokens, next_s, full_at = take(rate, NEW, 10**9, 5.0)
    for _ in range(asks):
        tokens, next_s, full_at = take(rate, full_at, 10**9, 5.0)
    assert tokens == 0
    assert take(rate, full_at, 1, 5.0 + next_s + 1e-6 / rate.per_s).tokens == 1
    assert take(rate, full_at, 1, 5.0 + 0.9 * next_s).tokens == 0 or next_s < 1e-5 / rate.per_s


@given(RATES, st.floats(0.1, 1e6))
def test_a_clock_that_is_put_back_empties_a_bucket_once_and_no_longer(rate, back_s):
    _, _, full_at = take(rate, NEW, 10**9, 1e7)
    _, _, full_at = take(rate, full_at, 1, 1e7 - back_s)
    assert take(rate, full_at, 1, 1e7 - back_s + rate.burst / rate.per_s + 1.0).tokens == 1


SEEDS = pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])

# Two data planes and more, of which most of the demand is one's.
DEMANDS = [[190.0, 10.0], [400.0, 3.0], [60.0, 60.0, 60.0], [1000.0, 500.0, 20.0, 1.0], [125.0]]


@pytest.mark.parametrize("demands", DEMANDS, ids=str)
@SEEDS
def test_data_planes_with_more_demand_than_the_limit_let_the_limit_through_within_2_percent(demands, seed):
    by_second, by_plane, _ = admitted(demands, limit(100.0), seconds=20, seed=seed)
    steady = by_second[8:]  # until then the burst lasts
    assert sum(steady) == pytest.approx(100.0 * len(steady), rel=0.02)
    assert sum(by_second) <= 100.0 * 20 + 100.0 * (1 + AHEAD_S + KEEP_S)
    for demand, counted in zip(demands, by_plane, strict=True):
        share = sum(counted[second] for second in range(8, 20)) / sum(steady)
        assert share >= 0.5 * min(demand / sum(demands), 1 / len(demands)), "no data plane goes without"


@SEEDS
def test_at_thousands_a_second_it_is_as_exact_and_few_commands_are_needed(seed):
    by_second, _, commands = admitted([3000.0, 300.0], limit(2000.0), seconds=8, seed=seed)
    assert sum(by_second[3:]) == pytest.approx(2000.0 * 5, rel=0.02)
    assert commands < 8 * 300


@SEEDS
def test_with_less_demand_than_the_limit_all_come_through(seed):
    by_second, by_plane, commands = admitted([70.0, 10.0], limit(100.0), seconds=20, seed=seed)
    assert sum(by_second) == sum(sum(counted.values()) for counted in by_plane)
    assert sum(by_second) == pytest.approx(80.0 * 20, rel=0.1)
    assert commands <= sum(by_second)


@pytest.mark.parametrize("per_s", [0.5, 1.0, 2.0, 5.0])
def test_a_limit_of_few_a_second_is_as_exact(per_s):
    by_second, _, _ = admitted([3 * per_s, 0.3 * per_s], limit(per_s), seconds=1000, seed=1)
    assert sum(by_second) == pytest.approx(1000 * per_s, rel=0.02)


def test_a_slow_store_makes_it_no_less_exact():
    by_second, _, _ = admitted([300.0, 30.0], limit(100.0), seconds=20, seed=1, takes_s=0.02)
    assert sum(by_second[5:]) == pytest.approx(100.0 * 15, rel=0.02)
