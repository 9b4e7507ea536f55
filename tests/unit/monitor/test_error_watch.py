"""A version's own error rate is learnt and a higher one is found, whatever restarts and however labels are grouped."""

import numpy as np
from headrace_monitor.performance import error_watch
from headrace_monitor.performance.error_watch import BASE_LABELS, CALM_LABELS
from headrace_monitor.statistics.severity import Severity


def errors(rate: float, labels: int, seed: int) -> list[bool]:
    return (np.random.default_rng(seed).random(labels) < rate).tolist()


def taken(stream, *, sizes=1000):
    state = error_watch.new()
    for first in range(0, len(stream), sizes):
        # As after a restart: only what is kept goes on.
        state = error_watch.from_text(error_watch.to_text(error_watch.take(state, stream[first : first + sizes])))
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
    state = error_watch.take(error_watch.new(), errors(0.1, BASE_LABELS - 1, 1))
    assert (state.watch, state.rise, state.severity) == (None, 0.0, Severity.NONE)
    state = error_watch.take(state, [False])
    assert state.base.of == BASE_LABELS
    assert 0.1 < state.allowed < 0.16


def test_an_alarm_is_over_when_enough_labels_were_calm():
    stream = errors(0.05, 1000, 1) + errors(0.3, 500, 2)
    state = taken(stream)
    assert state.since_alarm is not None
    state = error_watch.take(state, errors(0.02, CALM_LABELS + 500, 3))
    assert (state.since_alarm, state.rise, state.severity) == (None, 0.0, Severity.NONE)


def test_a_version_that_is_never_wrong_or_always_wrong_is_no_trouble():
    assert taken([False] * 5000).alarms == 0
    hopeless = taken([True] * 5000)
    assert (hopeless.alarms, hopeless.watch) == (0, None)
    assert "nothing to watch" in hopeless.sentence


def test_labels_that_come_together_are_taken_in_as_if_they_had_come_in_hundreds():
    stream = errors(0.05, 1500, 4) + errors(0.2, 1500, 5)
    assert taken(stream, sizes=500).alarms == taken(stream, sizes=3000).alarms > 0
