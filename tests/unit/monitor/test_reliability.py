"""Answers with like scores: what was observed of them, beside what their scores say."""

import numpy as np
import pytest
from headrace_monitor.judge.performance.decisions.reliability import reliability
from headrace_statistics.arrays import floats
from headrace_statistics.classification import classification
from headrace_statistics.sketches.scores import ScoreCounts, count, grid
from hypothesis import given
from hypothesis import strategies as st

BINS = grid(0.5)


def counted(scores: np.ndarray, answers: np.ndarray) -> ScoreCounts:
    return count(floats(scores), floats(answers), floats(np.ones(scores.size)), BINS)


def test_scores_that_are_probabilities_are_within_the_intervals_and_overconfident_ones_are_not():
    rng = np.random.default_rng(7)
    chance = rng.uniform(size=20_000)
    answers = (rng.uniform(size=chance.size) < chance).astype(float)
    honest = reliability(counted(chance, answers))
    assert len(honest) == 10
    assert [round(group.rows) for group in honest] == pytest.approx([2000] * 10, abs=60)
    assert sum(group.low <= group.score <= group.high for group in honest) >= 8
    sure = np.where(chance > 0.5, 0.99, 0.01)
    assert not any(group.low <= group.score <= group.high for group in reliability(counted(sure, answers)))


def test_a_hand_worked_group_has_the_share_and_wilsons_interval():
    (group,) = reliability(counted(np.full(10, 0.3), np.array([1.0, 1.0, *[0.0] * 8])))
    assert (group.share, group.rows) == (0.2, 10)
    assert (group.low, group.high) == pytest.approx((0.0567, 0.5098), abs=1e-4)


def test_rows_that_say_less_than_as_many_widen_the_interval_and_move_no_share():
    counts = counted(np.full(100, 0.3), np.array([1.0, 0.0] * 50))
    (plain,), (sampled,) = reliability(counts), reliability(counts, rows_each=4.0)
    assert plain.share == sampled.share
    assert sampled.high - sampled.low > 1.8 * (plain.high - plain.low)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])),
        max_size=60,
    )
)
def test_groups_are_ordered_have_every_row_once_and_their_distance_is_the_calibration_error(rows):
    scores, answers = np.array([score for score, _ in rows]), np.array([answer for _, answer in rows])
    counts = counted(scores, answers)
    groups = reliability(counts)
    assert sum(group.rows for group in groups) == len(rows)
    assert [group.score for group in groups] == sorted(group.score for group in groups)
    assert all(0 <= group.low <= group.share <= group.high <= 1 for group in groups)
    if rows:
        apart = sum(group.rows * abs(group.score - group.share) for group in groups) / len(rows)
        assert apart == pytest.approx(classification(counts, BINS).calibration, abs=1e-9)
