"""Answers of a run against those of the run before."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from headrace_scorer.decisions.answer_drift import MAX_COLUMNS, drifted, frozen

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def scores(seed: int, shift: float = 0.0, rows: int = 5_000) -> dict[str, np.ndarray]:
    return {"scores": np.random.default_rng(seed).normal(shift, 1, (rows, 3)).astype(np.float32)}


def test_runs_of_the_same_answers_are_seldom_held() -> None:
    held = sum(bool(drifted(frozen(scores(seed), "1", NOW), scores(seed + 1000))) for seed in range(50))
    assert held == 0


def test_answers_that_have_moved_are_named_by_column_the_largest_first() -> None:
    before = scores(1)
    after = scores(2)
    after["scores"][:, 1] += 1.0
    found = drifted(frozen(before, "1", NOW), after)
    assert found
    assert {one.column for one in found} == {"scores[1]"}
    assert all(one.effect > one.tolerance for one in found)


def test_what_is_tolerated_is_said_by_the_caller() -> None:
    assert drifted(frozen(scores(1), "1", NOW), scores(2, shift=0.4))
    assert not drifted(frozen(scores(1), "1", NOW), scores(2, shift=0.4), tolerance=0.5)


def test_labels_are_compared_as_categories() -> None:
    rng = np.random.default_rng(0)
    before = {"label": rng.choice(np.array([b"cat", b"dog"], object), 2_000)}
    same = {"label": rng.choice(np.array([b"cat", b"dog"], object), 2_000)}
    other = {"label": rng.choice(np.array([b"cat", b"dog"], object), 2_000, p=[0.95, 0.05])}
    reference = frozen(before, "1", NOW)
    assert not drifted(reference, same)
    assert {one.column for one in drifted(reference, other)} == {"label"}


def test_columns_that_one_run_lacks_and_runs_of_few_rows_are_not_judged() -> None:
    assert not drifted(frozen({"a": np.zeros(1000)}, "1", NOW), {"b": np.ones(1000)})
    assert not drifted(frozen({"a": np.zeros(10)}, "1", NOW), {"a": np.ones(10)})


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_odd_answers_raise_nothing(value: float) -> None:
    odd = {"a": np.full(1000, value)}
    drifted(frozen(odd, "1", NOW), {"a": np.arange(1000.0)})
    drifted(frozen({"a": np.arange(1000.0)}, "1", NOW), odd)


def test_an_output_of_many_elements_is_watched_by_the_first_ones() -> None:
    before, after = np.zeros((1000, MAX_COLUMNS + 1)), np.zeros((1000, MAX_COLUMNS + 1))
    before[:] = np.arange(1000)[:, None]
    after[:] = np.arange(1000)[:, None]
    after[:, -1] += 10_000
    assert not drifted(frozen({"a": before}, "1", NOW), {"a": after})
