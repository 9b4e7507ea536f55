"""Quantiles of units: intervals and evidence that hold at every look, whatever the law."""

import math

import numpy as np
import pytest
from headrace_statistics.experiments import quantiles
from headrace_statistics.experiments.comparisons import Comparison, compare_quantiles
from headrace_statistics.experiments.design import Kind, Metric
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.inconclusive import Constant, NotEnoughData


def quantile_at(quantile: float, *phases: tuple[np.ndarray, np.ndarray]) -> Comparison:
    metric = Metric("value", Kind.QUANTILE, quantile=quantile)
    ranked = [
        quantiles.QuantilePhase(quantiles.curve(control, quantile), quantiles.curve(variant, quantile), 0.5)
        for control, variant in phases
    ]
    return compare_quantiles(metric, ranked, alpha=0.05, tuned_units=20_000)


def test_a_quantile_of_two_laws_that_differ_lies_in_its_interval():
    """Exponential laws of mean 1 and 1.2: ninety-fifth percentiles of -ln(.05) times the mean."""
    draw = np.random.default_rng(1)
    one = quantile_at(0.95, (draw.exponential(1, 20_000), draw.exponential(1.2, 20_000)))
    assert one.low < -0.2 * math.log(0.05) < one.high
    assert (one.low > 0, one.p < 1e-6, one.exact) == (True, True, True)
    assert isinstance(one.effect, Effect)
    # sqrt(q (1 - q) / n) over the density at the quantile, of both (Woodruff 1952 estimates it from ranks).
    assert one.effect.standard_error == pytest.approx(math.sqrt(0.95 / 0.05 / 20_000 * (1 + 1.2**2)), rel=0.15)


def test_a_quantile_of_few_units_or_equal_ones_says_nothing():
    draw = np.random.default_rng(1)
    few = quantile_at(0.95, (draw.exponential(1, 10), draw.exponential(9, 10)))
    assert (few.low, few.high) == (-math.inf, math.inf)
    assert few.p > 0.5
    same = quantile_at(0.5, (draw.poisson(1, 5_000), draw.poisson(1, 5_000)))
    assert (same.p, same.low) == (1.0, pytest.approx(0.0, abs=1e-9))
    assert isinstance(quantile_at(0.5, (np.ones(99), np.ones(99))).effect, Constant)
    assert isinstance(quantile_at(0.5, (np.ones(1), np.ones(99))).effect, NotEnoughData)
    beyond = quantile_at(0.5, (np.r_[np.full(600, 1.0), np.full(400, math.inf)], np.r_[np.ones(900), [math.inf] * 100]))
    assert beyond.p == 1.0


def test_quantiles_of_a_ramp_are_compared_within_each_phase():
    draw = np.random.default_rng(1)
    weeks = [(draw.normal(at, 1, 9_000), draw.normal(at, 1, 1_000 + 8_000 * at)) for at in (0, 1)]
    assert quantile_at(0.5, *weeks).p > 0.05
    assert quantile_at(0.5, (np.concatenate([c for c, _ in weeks]), np.concatenate([v for _, v in weeks]))).p < 1e-6
