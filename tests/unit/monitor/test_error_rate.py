"""A version's own error rate is learnt and a higher one is found, whatever restarts and however labels are grouped."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from headrace_monitor.judge.performance.decisions import error_rate
from headrace_monitor.judge.performance.decisions.error_rate import BASE_LABELS, CALM_LABELS, HORIZONS
from headrace_statistics.proportions import Proportion
from headrace_statistics.severity import Severity

from tests.kit.rows import each
from tests.statistics import error_watch


def errors(rate: float, labels: int, seed: int) -> list[bool]:
    return (np.random.default_rng(seed).random(labels) < rate).tolist()


def taken(stream, *, sizes=1000):
    state = error_rate.new()
    for first in range(0, len(stream), sizes):
        # As after a restart: only what is kept goes on.
        state = error_rate.from_text(error_rate.to_text(error_rate.take(state, stream[first : first + sizes])))
    return state


def test_clean_streams_raise_no_alarm_and_raised_ones_do_soon():
    for seed in range(8):
        clean = errors(0.05, 10_000, seed)
        assert taken(clean).alarms == 0
        risen = taken(clean[:2000] + errors(0.15, 1000, 100 + seed))
        assert risen.alarms >= 1
        assert 0.02 < risen.rise < 0.3
        assert risen.severity >= Severity.MEDIUM
        assert "risen" in risen.sentence


def test_nothing_is_said_while_the_rate_is_learnt_and_what_is_allowed_is_above_it():
    state = error_rate.take(error_rate.new(), errors(0.1, BASE_LABELS - 1, 1))
    assert (state.watch, state.rise, state.severity) == (None, 0.0, Severity.NONE)
    state = error_rate.take(state, [False])
    assert state.base.of == BASE_LABELS
    assert 0.1 < state.allowed < 0.16


def test_the_more_labels_the_less_is_allowed_and_never_more_than_before():
    stream = errors(0.05, 32_000, 1)
    allowed = [error_rate.take(error_rate.new(), stream[:labels]).allowed for labels in HORIZONS]
    assert allowed == sorted(allowed, reverse=True)
    assert allowed[0] - 0.05 > 4 * (allowed[-1] - 0.05) > 0
    worse = error_rate.take(error_rate.new(), stream[:1_000] + errors(0.12, 1_000, 2)[:400] + stream[:600])
    assert worse.allowed <= error_rate.take(error_rate.new(), stream[:1_000]).allowed


def test_what_is_allowed_stays_after_an_alarm():
    state = taken(errors(0.05, 1_000, 1) + errors(0.3, 500, 2))
    assert state.alarms
    later = error_rate.take(state, errors(0.01, 3_000, 3))
    assert (later.allowed, later.base) == (state.allowed, state.base)


def test_the_simulation_of_the_watch_is_the_watch():
    for seed, rate in enumerate((0.09, 0.15, 0.3)):
        stream = np.concatenate([errors(0.05, 2_500, seed), errors(rate, 4_000, 10 + seed)])
        simulated = int(error_watch.alarms_of(stream[None, :], 2_500, 1e5, HORIZONS)[0])
        state, label = error_rate.new(), 0
        while not state.alarms:
            state, label = error_rate.take(state, [bool(stream[label])]), label + 1
        assert label - 2_500 == simulated


def test_an_alarm_is_over_when_enough_labels_were_calm():
    stream = errors(0.05, 1000, 1) + errors(0.3, 500, 2)
    state = taken(stream)
    assert state.since_alarm is not None
    state = error_rate.take(state, errors(0.02, CALM_LABELS + 500, 3))
    assert (state.since_alarm, state.rise, state.severity) == (None, 0.0, Severity.NONE)


def test_a_version_that_is_never_wrong_or_always_wrong_is_no_trouble():
    assert taken([False] * 5000).alarms == 0
    hopeless = taken([True] * 5000)
    assert (hopeless.alarms, hopeless.watch) == (0, None)
    assert "nothing to watch" in hopeless.sentence


def test_labels_that_come_together_are_taken_in_as_if_they_had_come_in_hundreds():
    stream = errors(0.05, 1500, 4) + errors(0.2, 1500, 5)
    assert taken(stream, sizes=500).alarms == taken(stream, sizes=3000).alarms > 0


def sizes_taken(stream, *, sizes=1000):
    state = error_rate.new()
    for first in range(0, len(stream), sizes):
        part = [float(one) for one in stream[first : first + sizes]]
        # As after a restart: only what is kept goes on.
        state = error_rate.from_text(error_rate.to_text(error_rate.take_sizes(state, part)))
    return state


@pytest.mark.parametrize("law", ["normal", "heavy tails", "whole numbers", "a ten thousandth"])
def test_errors_of_quantities_alarm_when_they_grow_and_not_before_whatever_their_law(law):
    for seed in (4, 5):
        rng = np.random.default_rng(seed)
        off = np.abs(rng.standard_t(2, 10_000) if law == "heavy tails" else rng.normal(0, 3, 10_000))
        off = {"whole numbers": np.round(off), "a ten thousandth": off / 10_000}.get(law, off)
        assert sizes_taken(off).alarms == 0
        grown = sizes_taken(np.concatenate([off[:3000], 2 * off[3000:5000]]))
        assert grown.alarms >= 1
        assert grown.severity >= Severity.MEDIUM
        assert f"errors beyond {grown.tolerance:.4g} has risen" in grown.sentence


def test_what_counts_as_an_error_is_frozen_from_the_first_labels_and_holds_over_restarts():
    off = np.abs(np.random.default_rng(6).normal(size=3000))
    one, other = sizes_taken(off, sizes=7), sizes_taken(off, sizes=3000)
    assert one.tolerance == other.tolerance == sorted(off[:BASE_LABELS])[449]
    assert (one.base, one.sizes) == (other.base, ())
    first = sizes_taken(off[:BASE_LABELS])
    assert (first.base.count, first.base.of) == (50, BASE_LABELS)
    assert 0.1 < one.allowed < first.allowed < 0.15
    early = error_rate.take_sizes(error_rate.new(), off[:60].tolist())
    assert (early.tolerance, early.rise, early.severity) == (None, 0.0, Severity.NONE)
    assert "60 of 500" in early.sentence


def test_quantities_that_are_always_right_at_first_alarm_when_they_are_not():
    assert sizes_taken(np.zeros(3000)).alarms == 0
    assert sizes_taken(np.concatenate([np.zeros(1000), np.ones(100)])).alarms >= 1


@each(
    "predicted,told,size",
    [
        (3.0, 5.5, 2.5),
        (3.0, "5.5", 2.5),
        (3.0, "many", None),
        (3.0, "nan", None),
        (float("nan"), 1.0, None),
        (float("inf"), float("inf"), None),
        (1e308, -1e308, sys.float_info.max),
        (float("inf"), 1.0, sys.float_info.max),
    ],
)
def test_how_far_a_quantity_was_off_is_a_number_or_nothing(predicted, told, size):
    assert error_rate.size_of(predicted, told) == size


def test_wild_sizes_are_kept_and_count_as_errors():
    assert sizes_taken(np.full(600, sys.float_info.max)).alarms == 0
    state = sizes_taken(np.concatenate([np.ones(1000), np.full(100, sys.float_info.max)]))
    assert state.alarms >= 1


def test_what_an_earlier_release_kept_goes_on():
    plain = json.loads(error_rate.to_text(taken(errors(0.05, 1500, 7))))
    del plain["sizes"], plain["tolerance"], plain["seen"]
    state = error_rate.from_text(json.dumps(plain))
    assert replace(state, seen=Proportion(68, 1500)) == taken(errors(0.05, 1500, 7))
    assert error_rate.take(state, errors(0.5, 200, 8)).alarms >= 1
