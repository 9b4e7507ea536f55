"""The benchmark's workload: the same for the same seed, with the shares that it promises."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.load.workload import ENTITY_CHARS, KNOWN, Workload, arrivals, choices, known_entity, published


def test_a_seed_decides_what_is_asked():
    first, again, other = (choices(seed, known_share=0.8, count=1000).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_as_many_requests_as_promised_are_for_known_entities(share: float):
    known = choices(3, known_share=share) >= 0
    assert known.mean() == pytest.approx(share, abs=0.005)


def test_popular_entities_are_kept_in_both_ways():
    kept = [one for one in choices(3, known_share=1.0).tolist() if published(one)]
    assert len(kept) / len(choices(3, known_share=1.0)) == pytest.approx(0.5, abs=0.1)


def test_popularity_follows_the_rank():
    counts = [count for _, count in Counter(choices(3, known_share=1.0).tolist()).most_common(10)]
    assert counts[0] / counts[1] == pytest.approx(2.0, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10.0, rel=0.2)


def test_every_new_entity_is_another_one():
    workload = Workload([-1, -1, 0, -2], run=1)
    drawn = [workload.draw() for _ in range(8)]
    new = [entity for _, entity in drawn if entity != known_entity(0).encode()]
    assert len(set(new)) == len(new) == 6
    assert [row for row, _ in drawn] == [0, 0, 0, 1] * 2


def test_two_runs_have_no_new_entity_in_common():
    first, second = (Workload([-1], run=run) for run in (1, 2))
    assert first.draw()[1] != second.draw()[1]


def test_all_entities_have_one_length():
    workload = Workload([-1, 0, KNOWN - 1])
    assert {len(workload.draw()[1]) for _ in range(6)} == {ENTITY_CHARS}


def test_a_finite_workload_ends():
    workload = Workload([0, 1], endless=False)
    assert [workload.draw()[0], workload.draw()[0]] == [0, 1]
    with pytest.raises(StopIteration):
        workload.draw()


def test_arrivals_come_at_the_rate_that_was_asked_for():
    times = arrivals(5, 1000.0, 20.0)
    assert len(times) == 20_000
    assert times[-1] == pytest.approx(20.0, rel=0.05)
    gaps = np.diff(times)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)  # as of a Poisson process
    assert np.diff(arrivals(5, 1000.0, 1.0, constant=True)).max() == pytest.approx(0.001)
