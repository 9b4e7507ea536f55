"""Which candidate is registered: within the budgets, on the front, and the same one in whatever order they come."""

import math

import pytest
from headrace_forge.optimisation import choice
from headrace_forge.optimisation.choice import Budgets, Candidate, Evidence, Speed, speed_of
from headrace_forge.optimisation.quality import Quality, Slice
from hypothesis import given
from hypothesis import strategies as st


def candidate(name: str, *, accuracy: float = 0.95, speedup: float = 1.5, size: int = 50, **fields) -> Candidate:
    worst, difference = fields.pop("worst", None), fields.pop("difference", 0.01)
    quality = Quality(accuracy, difference, fields.pop("calibration", None), worst)
    speeds = {1: Speed(1.0 / speedup, 2.0 / speedup, 1000 * speedup, speedup)}
    return Candidate(name, fields.pop("is_model", True), size, quality, speeds, **fields)


ORIGINAL = candidate("original", accuracy=0.95, speedup=1.0, size=100, is_model=False)

some = st.builds(
    candidate,
    st.uuids().map(str),
    accuracy=st.sampled_from([0.90, 0.94, 0.945, 0.95, 0.96]),
    speedup=st.floats(0.2, 8.0),
    size=st.integers(1, 200),
    is_model=st.booleans(),
)


@given(st.lists(some, max_size=12), st.randoms())
def test_the_winner_keeps_the_budgets_is_on_the_front_and_does_not_depend_on_the_order(candidates, random):
    found = choice.winner(candidates, ORIGINAL, Budgets())
    shuffled = random.sample(candidates, len(candidates))
    assert choice.winner(shuffled, ORIGINAL, Budgets()) == found
    if found is None:
        assert all(choice.misses(one, ORIGINAL, Budgets()) for one in candidates if one.is_model)
        return
    assert found.is_model
    assert choice.misses(found, ORIGINAL, Budgets()) == []
    assert found.name in choice.front([one for one in candidates if one.is_model])


@given(st.lists(some, min_size=1, max_size=12))
def test_whatever_is_not_on_the_front_is_beaten_by_one_that_is(candidates):
    names = choice.front(candidates)
    assert names

    def figures(one: Candidate) -> tuple[float, float, int]:
        assert one.quality is not None
        return one.quality.accuracy, one.speedup, -one.size_bytes

    best = [figures(one) for one in candidates if one.name in names]
    for one in candidates:
        if one.name not in names:
            assert any(all(a >= b for a, b in zip(other, figures(one), strict=True)) for other in best)


def test_a_faster_candidate_wins_and_of_two_as_fast_the_more_accurate_one():
    fast, exact = candidate("fast", speedup=3.0, accuracy=0.945), candidate("exact", speedup=1.5)
    assert choice.winner([exact, fast], ORIGINAL, Budgets()) == fast
    as_fast = candidate("as-fast", speedup=2.99, accuracy=0.95)
    assert choice.winner([fast, as_fast], ORIGINAL, Budgets()) == as_fast


@pytest.mark.parametrize(
    ("worse", "budgets", "words"),
    [
        pytest.param(candidate("x", accuracy=0.93), Budgets(), "accuracy drop 0.02 > 0.01", id="accuracy"),
        pytest.param(candidate("x", speedup=1.1), Budgets(), "1.10 x as fast < 1.2 x", id="speed"),
        pytest.param(candidate("x", size=90), Budgets(max_size_ratio=0.5), "size 0.9 > 0.5", id="size"),
        pytest.param(
            candidate("x", difference=math.inf), Budgets(max_difference=0.1), "largest difference inf", id="difference"
        ),
        pytest.param(
            candidate("x", worst=Slice("age > 60", 40, 0.9, 0.7)),
            Budgets(max_slice_drop=0.05),
            "drop where age > 60 0.2 > 0.05",
            id="slice",
        ),
        pytest.param(
            Candidate("x", True, problem="cannot be loaded again: bad file"), Budgets(), "cannot be loaded", id="lost"
        ),
    ],
)
def test_what_misses_a_budget_says_which_and_is_not_chosen(worse, budgets, words):
    assert words in "; ".join(choice.misses(worse, ORIGINAL, budgets))
    assert choice.winner([worse], ORIGINAL, budgets) is None


def test_accuracy_that_is_not_a_number_keeps_no_budget():
    assert choice.winner([candidate("x", accuracy=math.nan)], ORIGINAL, Budgets()) is None


def test_a_way_of_running_the_original_is_never_registered():
    assert choice.winner([candidate("threads", is_model=False, speedup=9.0)], ORIGINAL, Budgets()) is None


def test_speed_is_compared_within_rounds_so_that_a_slow_machine_does_not_count():
    # In the second round everything took ten times as long.
    original, found = [[2.0] * 5, [20.0] * 5, [2.0] * 5], [[1.0] * 5, [10.0] * 5, [1.0] * 5]
    speed = speed_of(8, original, found)
    assert (speed.speedup, speed.p50_ms, speed.rows_per_s) == (2.0, 1000.0, 8.0)
    assert speed.p99_ms == 10_000.0


def test_a_candidate_that_answers_otherwise_is_recommended_by_labels_and_enough_rows_only():
    other, same = candidate("int8", difference=0.06), candidate("graph", difference=1e-6, speedup=1.3)
    few = Evidence(20, labelled=False)
    assert few.lacks(other, Budgets()) == ["no labels", "20 rows, 100 are needed"]
    assert choice.misses(other, ORIGINAL, Budgets(), few) == few.lacks(other, Budgets())
    assert choice.winner([other], ORIGINAL, Budgets(), few) is None
    # What answers the same needs no proof, nor what is allowed to differ.
    assert choice.winner([other, same], ORIGINAL, Budgets(), few) == same
    assert choice.winner([other], ORIGINAL, Budgets(max_difference=0.1), few) == other
    assert choice.winner([other], ORIGINAL, Budgets(), Evidence(100, labelled=True)) == other
    assert Evidence(100, labelled=True).lacks(other, Budgets(max_accuracy_drop=0.0)) == ["100 rows, 1000 are needed"]
