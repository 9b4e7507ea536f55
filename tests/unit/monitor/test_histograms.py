"""Bins of a reference and a window."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from headrace_monitor.judge.drift.decisions import histograms
from headrace_monitor.judge.drift.decisions.histograms import histogram
from headrace_statistics import references


def test_bins_are_called_by_the_values_in_them() -> None:
    assert doctest.testmod(histograms).failed == 0
    assert histograms.bins_of([0.0, 1.0, 2.0]) == ["≤ 0", "≤ 1", "≤ 2", "> 2"]
    assert histograms.bins_of([0.5, float(np.nextafter(3.0, 0.0)), 3.0]) == ["≤ 0.5", "< 3", "3", "> 3"]


def test_histograms_have_the_bins_that_were_judged() -> None:
    rng = np.random.default_rng(7)
    age = references.freeze_numeric(rng.normal(50, 10, 5000))
    told = histogram("age", age, references.summarise(age, [*rng.normal(60, 10, 990), *[np.nan] * 10]))
    assert told is not None
    assert len(told.labels) == len(told.reference) == len(told.window) == 11
    assert told.labels[-1] == "missing"
    assert told.window[-1] == pytest.approx(0.01)
    assert sum(told.window) == pytest.approx(1)
    assert told.window[9] > 2 * told.reference[9]
    country = references.freeze_categorical(["AT"] * 60 + ["DE"] * 40)
    told = histogram("country", country, references.summarise(country, ["AT", "XK", "XK", None]))
    assert told is not None
    assert told.labels == ("AT", "DE", "new", "missing")
    assert told.window == (0.25, 0.0, 0.5, 0.25)
    constant = references.freeze_numeric([1.0] * 100)
    told = histogram("constant", constant, references.summarise(constant, [1.0, 2.0]))
    assert told is not None
    assert sum(told.window) == pytest.approx(1)
