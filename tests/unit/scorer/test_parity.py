"""Whether what was scored is what is answered online: tolerances, labels, odd values, worst pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from headrace_scorer.decisions.comparisons import Parity
from headrace_scorer.decisions.parity import MAX_WORST, compare, merged
from headrace_scorer.decisions.publish_specs import Tolerance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.kit.rows import each

FLOATS = st.floats(-1e6, 1e6, width=32)
ANY_FLOATS = st.floats(width=32)


def one(scored: Any, online: Any, **tolerance: float) -> Parity:
    """Compare one value of one entity."""
    return compare(["ada"], {"y": [scored]}, {"y": [online]}, Tolerance(**tolerance))


@given(arrays(np.float32, (5, 3), elements=ANY_FLOATS))
def test_answers_agree_with_themselves_whatever_they_are(values: np.ndarray) -> None:
    assert compare(list("abcde"), {"y": values}, {"y": values.copy()}).agrees


@given(FLOATS, FLOATS)
def test_a_comparison_does_not_ask_which_side_is_which(a: float, b: float) -> None:
    assert one(a, b).differing == one(b, a).differing


@given(FLOATS, st.floats(1e-6, 1.0), st.floats(0.0, 2.0).filter(lambda share: abs(share - 1) > 1e-3))
def test_what_is_within_the_absolute_tolerance_agrees_and_what_is_beyond_does_not(
    value: float, absolute: float, share: float
) -> None:
    other = np.float64(value) + share * absolute
    # A double of this size cannot show the difference.
    if abs((other - np.float64(value)) - share * absolute) > 1e-4 * absolute:
        return
    agrees = one(np.float64(value), other, absolute=absolute, relative=0.0).agrees
    assert agrees == (share < 1)


@each(
    "scored,online,agrees",
    [
        pytest.param(1e6, 1e6 * (1 + 5e-5), True, id="within the relative tolerance"),
        pytest.param(1e6, 1e6 * (1 + 2e-4), False, id="beyond it"),
        pytest.param(np.nan, np.nan, True, id="both are no number"),
        pytest.param(np.nan, 0.0, False, id="one is no number"),
        pytest.param(np.inf, np.inf, True, id="both are infinite"),
        pytest.param(np.inf, -np.inf, False, id="infinite the other way"),
        pytest.param(np.inf, 1e30, False, id="one is infinite"),
        pytest.param(3, 3, True, id="a label"),
        pytest.param(3, 4, False, id="another label, however close"),
        pytest.param(True, True, True, id="a truth"),
        pytest.param(b"cat", b"cat", True, id="a text"),
        pytest.param(b"cat", b"dog", False, id="another text"),
    ],
)
def test_floats_have_a_tolerance_and_everything_else_has_none(scored: object, online: object, agrees: bool) -> None:
    assert one(scored, online).agrees is agrees


def test_the_worst_pairs_come_first_one_of_a_row_and_not_all() -> None:
    entities = [f"e{at}" for at in range(50)]
    scored = np.zeros((50, 2))
    online = np.stack([np.arange(50.0), np.arange(50.0) / 2], axis=1)
    found = compare(entities, {"y": scored}, {"y": online}, Tolerance(1.0, 0.0))
    assert (found.rows, found.differing, len(found.worst)) == (50, 48, MAX_WORST)
    first = found.worst[0]
    assert (first.entity, first.output, first.position, first.scored, first.online) == ("e49", "y", 0, "0.0", "49.0")
    assert [pair.excess for pair in found.worst] == sorted((pair.excess for pair in found.worst), reverse=True)


def test_an_output_that_one_side_lacks_or_of_another_shape_differs_in_every_row() -> None:
    assert compare(["a", "b"], {"y": [1.0, 2.0]}, {}).differing == 2
    assert compare(["a", "b"], {"y": [[1.0], [2.0]]}, {"y": [[1.0, 2.0], [2.0, 3.0]]}).differing == 2
    assert compare(["a", "b"], {"y": [1.0, 2.0]}, {"y": [1.0]}).differing == 2


def test_a_shape_that_says_the_same_agrees() -> None:
    assert compare(["a", "b"], {"y": [1.0, 2.0]}, {"y": [[1.0], [2.0]]}).agrees


def test_a_sample_of_nothing_does_not_agree() -> None:
    assert not compare([], {"y": []}, {"y": []}).agrees


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_parts_that_are_merged_say_what_the_whole_says(parts: list[int]) -> None:
    values = [[float(at) for at in range(rows)] for rows in parts]
    found = merged([compare([f"e{at}" for at in one], {"y": one}, {"y": [0.0] * len(one)}) for one in values])
    assert found.rows == sum(parts)
    assert found.differing == sum(max(0, rows - 1) for rows in parts)
    assert len(found.worst) == min(found.differing, MAX_WORST)
