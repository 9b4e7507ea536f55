from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from headrace_router.data.batchers.decisions.balance import RetryBudget, choose, expected_wait_s
from hypothesis import given
from hypothesis import strategies as st


@dataclass
class Load:
    rows: int = 0
    predicted_wait_s: float = 0.0
    load_seen: float = 0.0
    rows_in_flight: int = 0
    took_s: float = 0.0
    in_flight: int = 0

    @property
    def replica(self) -> Load:
        return self

    def expected_s(self, now: float) -> float:
        return self.took_s


def test_the_less_loaded_of_two_is_chosen():
    busy, idle = Load(100, 0.05), Load(10, 0.005)
    assert all(choose([busy, idle], 0.0, random.Random(seed).random) is idle for seed in range(20))


def test_a_prediction_runs_down_with_time():
    old = Load(100, 0.05, load_seen=0.0)
    assert expected_wait_s(old, 0.02) == pytest.approx(0.03)
    assert expected_wait_s(old, 1.0) == 0.0


def test_what_is_in_flight_counts_before_the_replica_has_said_so():
    one, other = Load(rows_in_flight=5), Load(rows_in_flight=50)
    assert choose([other, one], 0.0, random.Random(1).random) is one


def test_who_takes_longer_for_an_answer_gets_less():
    """In proportion to how fast each one answers."""
    slow, quick, rng = Load(took_s=0.03), Load(took_s=0.002), random.Random(3)
    for _ in range(320):
        choose([slow, quick], 0.0, rng.random).in_flight += 1
    assert slow.in_flight == pytest.approx(20, abs=2)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_a_choice_is_always_one_of_the_replicas(count, seed):
    replicas = [Load() for _ in range(count)]
    assert choose(replicas, 0.0, random.Random(seed).random) in replicas


def test_equal_replicas_share_the_load():
    replicas, rng = [Load() for _ in range(4)], random.Random(7)
    for _ in range(4000):
        choose(replicas, 0.0, rng.random).rows_in_flight += 1
    assert max(one.rows_in_flight for one in replicas) - min(one.rows_in_flight for one in replicas) <= 20


@given(st.lists(st.booleans(), max_size=300))
def test_retries_stay_within_their_share_of_the_requests(events):
    budget, requests, retries = RetryBudget(0.2, 5), 0, 0
    for is_request in events:
        if is_request:
            budget.earn()
            requests += 1
        else:
            retries += budget.spend()
    assert retries <= 5 + 0.2 * requests + 1e-6


def test_a_burst_of_retries_after_quiet_times_is_served():
    budget = RetryBudget(0.2, 100)
    assert sum(budget.spend() for _ in range(150)) == 100
    assert budget.refused == 50
