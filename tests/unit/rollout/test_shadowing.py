"""What pairs of answers say of a shadow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from headrace_rollout.decisions import shadow_record
from headrace_rollout.decisions.policies import Shadow
from headrace_rollout.decisions.rollouts import Decision, Verdict
from headrace_rollout.decisions.shadow_record import READ_EVERY, Labels, Pairs
from headrace_rollout.documents import shadow_record_json, shadow_record_of
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rollout.rollouts import MINUTE, NOW

SHADOW = Shadow(dwell=MINUTE, min_pairs=1000)
NOTHING = Pairs()
ALIKE = Pairs(compared=1000, labels=Labels(1000, 5), slices={"country=AT": Labels(200, 4)})


def judged(found: Pairs, *, after: timedelta = MINUTE, shadow: Shadow = SHADOW, before: Pairs = NOTHING) -> Verdict:
    """Return the verdict on pairs that are read so long after the shadow began."""
    record = shadow_record.taken(shadow_record.begin(before, NOW), found, NOW + after)
    assert shadow_record_of(shadow_record_json(record)) == record
    return shadow_record.verdict(record, shadow, NOW, NOW + after)


def test_a_shadow_passes_after_its_dwell_with_enough_pairs_that_are_alike():
    found = judged(ALIKE)
    assert found.decision is Decision.ADVANCE
    assert found.reason == (
        "shadow, 1,000 pairs compared: no errors, no NaN, 5 of 1,000 labels differ (0.5 %, at most 0.5 %)"
    )
    assert judged(ALIKE, after=MINUTE - timedelta(seconds=1)).decision is Decision.HOLD


def test_too_few_pairs_hold_however_long_it_takes_and_say_so():
    found = judged(replace(ALIKE, compared=999), after=1000 * MINUTE)
    assert (found.decision, "999 of at least 1,000 pairs compared" in found.reason) == (Decision.HOLD, True)
    none = judged(NOTHING, after=1000 * MINUTE)
    assert (none.decision, "0 of at least 1,000 pairs" in none.reason) == (Decision.HOLD, True)


def test_pairs_with_nothing_in_common_are_not_compared_and_told():
    found = judged(Pairs(unlike=5000))
    assert (found.decision, "nothing in common to compare: 5,000" in found.reason) == (Decision.HOLD, True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param(
            {"errors": {13: 2, 4: 1}},
            "errors to copies, where the version before had none: 3 (DEADLINE_EXCEEDED 1, INTERNAL 2)",
            id="errors",
        ),
        pytest.param({"errors": {77: 1}}, "had none: 1 (77 1)", id="an unknown code"),
        pytest.param({"nan_rows": 3}, "rows with a NaN, where the version before has none: 3", id="NaN"),
        pytest.param({"labels": Labels(1000, 60)}, "60 of 1,000 labels differ (6 %, at most 0.5 %)", id="flips"),
        pytest.param(
            {"slices": {"country=AT": Labels(200, 40), "country=DE": Labels(800, 0)}},
            "in slice country=AT 40 of 200 labels differ (20 %, at most 2 %)",
            id="a slice",
        ),
    ],
)
def test_what_is_certain_takes_the_version_back_before_the_end(wrong: dict, told: str):
    found = judged(replace(ALIKE, compared=300, **wrong), after=READ_EVERY)
    assert found.decision is Decision.ROLL_BACK
    assert told in found.reason, found.reason


def test_rows_of_one_request_that_flip_together_are_one_flip():
    alone, together = Labels(1000, 20, 20), Labels(1000, 20, 400)
    assert judged(replace(ALIKE, compared=50, labels=alone), after=READ_EVERY).decision is Decision.ROLL_BACK
    assert judged(replace(ALIKE, compared=50, labels=together), after=READ_EVERY).decision is Decision.HOLD
    often = Labels(20_000, 600, 12_000)
    assert judged(replace(ALIKE, compared=200, labels=often), after=READ_EVERY).decision is Decision.ROLL_BACK


def test_a_shadow_that_differs_as_often_as_it_may_is_not_taken_back_before_the_end():
    """In requests of twenty rows that flip together, read two hundred times."""
    rng, shadow = np.random.default_rng(36), replace(SHADOW, max_flips=0.01)
    taken_back = 0
    for _ in range(100):
        flips = 20 * np.cumsum(rng.binomial(10, 0.01, 200))
        rows = 200 * np.arange(1, 201)
        seen = [Labels(int(n), int(k), 20 * int(k)) for n, k in zip(rows, flips, strict=True)]
        found = (judged(replace(ALIKE, compared=50, labels=one), shadow=shadow, after=READ_EVERY) for one in seen)
        taken_back += any(one.decision is Decision.ROLL_BACK for one in found)
    assert taken_back <= 5


def test_at_the_end_the_share_of_flips_itself_decides():
    barely = replace(ALIKE, labels=Labels(1000, 6))
    assert judged(barely, after=MINUTE / 2).decision is Decision.HOLD
    found = judged(barely)
    assert (found.decision, "6 of 1,000 labels differ (0.6 %" in found.reason) == (Decision.ROLL_BACK, True)


def test_a_slice_of_few_rows_says_nothing_for_certain():
    assert judged(replace(ALIKE, slices={"country=AT": Labels(3, 1)})).decision is Decision.ADVANCE


def test_a_policy_may_allow_no_flip_at_all():
    strict = replace(SHADOW, max_flips=0.0)
    assert judged(ALIKE, shadow=strict).decision is Decision.ROLL_BACK
    assert judged(replace(ALIKE, labels=Labels(1000, 0)), shadow=strict).decision is Decision.ADVANCE


def test_of_answers_without_labels_errors_and_nan_decide():
    found = judged(replace(ALIKE, labels=Labels(), slices={}))
    assert (found.decision, "no labels that could differ" in found.reason) == (Decision.ADVANCE, True)


def test_what_was_compared_before_the_shadow_began_is_none_of_it():
    before = Pairs(5000, 7, {13: 4}, 9, Labels(5000, 900), {"country=AT": Labels(5000, 900)})
    after = Pairs(6000, 7, {13: 4}, 9, Labels(6000, 905), {"country=AT": Labels(5200, 904)})
    assert after.since(before) == ALIKE
    assert judged(after, before=before).decision is Decision.ADVANCE


def test_a_monitor_that_forgets_makes_no_pairs():
    found = judged(NOTHING, before=ALIKE)
    assert (found.decision, "0 of at least" in found.reason) == (Decision.HOLD, True)


def test_a_monitor_that_does_not_say_is_no_data():
    found = shadow_record.silent("monitor: away", NOW)
    assert (found.decision, "monitor: away" in found.reason) == (Decision.NO_DATA, True)


def test_the_name_of_a_slice_is_told_without_what_no_database_keeps():
    found = judged(replace(ALIKE, slices={"a=\0\x1b" + "x" * 500: Labels(200, 40)}))
    assert (found.decision, "in slice a=??xx" in found.reason) == (Decision.ROLL_BACK, True)
    assert len(found.reason) < 200
    assert found.reason.isprintable()


counts = st.integers(0, 10**9)
labels = st.builds(lambda a, b: Labels(max(a, b), min(a, b)), counts, counts)
pairs = st.builds(
    Pairs, counts, counts, st.dictionaries(st.integers(1, 16), counts, max_size=3), counts, labels,
    st.dictionaries(st.text(max_size=5), labels, max_size=3),
)  # fmt: skip


@given(before=pairs, after=pairs, since=st.timedeltas(timedelta(), timedelta(hours=1)))
def test_nothing_that_a_monitor_says_advances_a_version_with_too_few_pairs_or_faults(before, after, since):
    found = after.since(before)
    verdict = judged(after, before=before, after=since)
    if verdict.decision is Decision.ADVANCE:
        assert found.compared >= SHADOW.min_pairs
        assert since >= SHADOW.dwell
        assert not found.errors
        assert not found.nan_rows
        assert found.labels.flips <= SHADOW.max_flips * found.labels.rows
