"""Experiments: effects and evidence by hand, as others publish them, and where nothing can be said."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from headrace_statistics.experiments import labels, sample_ratio, sequences
from headrace_statistics.experiments.analysis import Counts, Finding, State, analyse, explore
from headrace_statistics.experiments.comparisons import Phase, compare
from headrace_statistics.experiments.design import Design, Kind, Metric, Role
from headrace_statistics.experiments.effects import Effect, effect, fixed_horizon_p_value
from headrace_statistics.experiments.moments import UnitMoments, merged, of_units
from headrace_statistics.experiments.sizes import (
    UnitVariance,
    fixed_units,
    of_rate,
    power_at,
    sequential_units,
    settled_units,
)
from headrace_statistics.inconclusive import Constant, NotEnoughData, NotFinite
from hypothesis import given
from hypothesis import strategies as st

CLICK = Metric("click", Kind.BINARY)
HARM = Metric("error", Kind.BINARY, Role.GUARDRAIL, margin=0.1, higher_is_better=False)


def summed(units: int, y: float, yy: float, c: float = 0.0, cc: float = 0.0, yc: float = 0.0) -> UnitMoments:
    """Moments from the sums that other packages take."""
    sums, products = np.array([y, units, c]), np.array([[yy, y, yc], [y, units, c], [yc, c, cc]])
    return UnitMoments(units, sums / units, products - np.outer(sums, sums) / units)


def rate(units: int, events: int) -> UnitMoments:
    return summed(units, events, events)


def found(*phases: tuple[UnitMoments, UnitMoments]) -> Effect:
    one = effect(phases)
    assert isinstance(one, Effect)
    return one


def test_huge_values_that_differ_little_keep_their_variance():
    values = 1e12 + np.array([0.0, 1.0, 2.0, 3.0])
    assert of_units(values).comoments[0, 0] == pytest.approx(5.0)


def test_a_relative_effect_is_that_of_gbstats():
    """GrowthBook's gbstats 0.8.0, TwoSidedTTest with difference_type relative."""
    one = found((summed(3000, 9000, 90_000), summed(3200, 10_400, 110_000)))
    assert one.relative == pytest.approx(0.08333333333333333)


def test_an_effect_adjusted_for_the_time_before_is_that_of_gbstats():
    """GrowthBook's gbstats 0.8.0, RegressionAdjustedStatistic; it takes no variance of both arms together."""
    one = found((summed(3000, 9000, 90_000, 6000, 30_000, 36_000), summed(3200, 10_400, 110_000, 6500, 33_000, 42_000)))
    assert one.difference == pytest.approx(0.2178499039897588, rel=1e-4)
    assert one.standard_error == pytest.approx(0.10147939096916289, rel=3e-3)


@pytest.mark.parametrize(("alpha", "tuned", "low", "high"), [
    (0.05, 5_000, -0.0017502154926171097, 0.015596369338770951),
    (0.01, 20_000, -0.002885533944496435, 0.016731687790650276),
])  # fmt: skip
def test_an_interval_at_every_look_is_that_of_gbstats(alpha: float, tuned: int, low: float, high: float):
    """GrowthBook's gbstats 0.8.0, SequentialTwoSidedTTest; it divides variances of shares by n, not n - 1."""
    one = found((rate(14_000, 700), rate(13_000, 740)))
    reach = float(sequences.half_width(one.standard_error, one.units, sequences.precision(tuned, alpha), alpha))
    assert (one.difference - reach, one.difference + reach) == pytest.approx((low, high), rel=1e-3)


def tea(units: int, means: list[float], comoments: list[float]) -> UnitMoments:
    """Of orders, sessions and orders before."""
    yy, yx, yc, xx, xc, cc = comoments
    return UnitMoments(units, np.array(means), np.array([[yy, yx, yc], [yx, xx, xc], [yc, xc, cc]]))


TEA = (
    tea(
        2023,
        [0.5304003954522986, 1.9960454770143352, 0.5388037567968363],
        [
            1503.880375679687,
            506.2432031636195,
            1112.863568956996,
            2037.9683638161196,
            539.3104300543745,
            2132.703905091444,
        ],
    ),
    tea(
        1977,
        [0.5730905412240769, 1.982802225594335, 0.5088517956499747],
        [
            1471.6884167931244,
            483.4850784016186,
            974.470915528577,
            1925.4152756702058,
            412.3009610520984,
            1868.0950935761173,
        ],
    ),
)


def without(moments: UnitMoments, *columns: int) -> UnitMoments:
    means, comoments = moments.means.copy(), moments.comoments.copy()
    for column in columns:
        means[column], comoments[column, :], comoments[:, column] = float(column == 1), 0, 0
    return UnitMoments(moments.units, means, comoments)


@pytest.mark.parametrize(
    ("dropped", "difference", "p"),
    [
        pytest.param((2,), 0.02330500550889003, 0.07616141131815028, id="orders per session"),
        pytest.param((1,), 0.058303892608663865, 0.007300270688805599, id="orders, adjusted"),
        pytest.param((), 0.03016024102280257, 0.005933139176404312, id="orders per session, adjusted"),
    ],
)
def test_ratios_and_adjusted_means_are_those_of_tea_tasting(dropped: tuple[int, ...], difference: float, p: float):
    """tea-tasting 1.14.0 on make_users_data(rng=42, covariates=True), with use_t=False."""
    one = found((without(TEA[0], *dropped), without(TEA[1], *dropped)))
    assert one.difference == pytest.approx(difference, rel=1e-3)
    assert fixed_horizon_p_value(one) == pytest.approx(p, rel=5e-3)


def test_the_planned_size_is_that_of_the_textbook():
    """(1.96 + .84)^2 (p1 q1 + p2 q2) / d^2 (Fleiss, Levin, Paik 2003): 31,231 of each arm for 5 % and 5.5 %."""
    assert math.ceil(fixed_units(of_rate(0.05, 0.1), 0.1, 0.05, 0.8) / 2) == 31_231


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_from_the_settled_units_on_no_single_unit_decides(share: float):
    metric, furthest = Metric("revenue", Kind.MEAN), 2_000.0
    planned = settled_units(UnitVariance(1.0, 4.0), furthest, 0.05, tuned_units=20_000, share=share)
    for units, settled in ((0.98 * planned, False), (1.02 * planned, True)):
        arms = [_arm(round(units * part), furthest) for part in (1 - share, share)]
        at = compare(metric, [Phase(arms[0], arms[1], share)], alpha=0.05, tuned_units=20_000, least_units=200)
        assert at.hangs_on_one_unit is not settled


def _arm(units: int, furthest: float) -> UnitMoments:
    return replace(summed(units, units, 4 * (units - 1) + units), least=0.0, most=1.0 + furthest)


def test_looking_at_any_time_costs_units_at_the_end_and_saves_them_on_average():
    metric = of_rate(0.05, 0.1)
    fixed, always = fixed_units(metric, 0.1, 0.05, 0.8), sequential_units(metric, 0.1, 0.05, 0.8)
    assert fixed < always < 2 * fixed
    assert power_at(fixed, metric, 0.1, 0.05, tuned_units=fixed) > 0.4
    cuped = UnitVariance(metric.mean, metric.variance, correlation=0.7)
    assert fixed_units(cuped, 0.1, 0.05, 0.8) == pytest.approx(fixed * 0.51, rel=1e-4)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=9), min_size=1, max_size=5))
def test_moments_of_parts_are_those_of_all_units(parts: list[list[float]]):
    whole, added = of_units([value for part in parts for value in part]), merged(of_units(part) for part in parts)
    assert added.units == whole.units
    np.testing.assert_allclose(added.means, whole.means, atol=1e-6)
    np.testing.assert_allclose(added.comoments, whole.comoments, rtol=1e-6, atol=1e-3)


def test_strata_take_away_what_lies_between_them():
    draw = np.random.default_rng(1)
    arms = [(draw.normal(level, 1, 1_000), draw.normal(level + 0.1, 1, 1_000)) for level in (0, 9)]
    within = effect([(of_units(control), of_units(variant)) for control, variant in arms])
    control, variant = (of_units(np.concatenate(both)) for both in zip(*arms, strict=True))
    pooled = effect([(control, variant)])
    assert isinstance(within, Effect)
    assert isinstance(pooled, Effect)
    assert within.standard_error < pooled.standard_error / 4


@given(st.integers(1, 10), st.floats(0.05, 0.95), st.floats(0.05, 1))
def test_labels_gain_nothing_on_average_while_the_variants_do_not_differ(events: int, share: float, size: float):
    gains = [
        math.comb(events, k) * share**k * (1 - share) ** (events - k)
        * math.exp(float(labels.log_evidence(k, events - k, share, size)))
        for k in range(events + 1)
    ]  # fmt: skip
    assert sum(gains) == pytest.approx(1.0)


def test_shares_gain_nothing_on_average_while_they_are_right():
    shares, units = [0.2, 0.3, 0.5], 5
    mean = 0.0
    for counts in itertools.product(range(units + 1), repeat=3):
        if sum(counts) == units:
            ways = math.factorial(units) / math.prod(map(math.factorial, counts))
            chance = ways * math.prod(s**n for s, n in zip(shares, counts, strict=True))
            mean += chance * math.exp(float(sample_ratio.log_evidence(counts, shares)))
    assert mean == pytest.approx(1.0)


def test_a_variant_without_a_share_does_not_blur_the_others_and_must_have_no_units():
    """Chi-square that counts it among the degrees of freedom finds p = .092 for the first (GrowthBook, gbstats)."""
    assert sample_ratio.log_evidence([1000, 1100, 0], [1, 1, 0]) == sample_ratio.log_evidence([1000, 1100], [1, 1])
    assert float(sample_ratio.log_evidence([1000, 1000, 1], [1, 1, 0])) == math.inf


def test_a_ramp_in_a_good_week_does_not_make_a_variant_better():
    """Simpson: 5 % in the first week at 10 % of traffic, 10 % in the second at 50 %, in both variants alike."""
    one = found((rate(9000, 450), rate(1000, 50)), (rate(5000, 500), rate(5000, 500)))
    assert one.difference == pytest.approx(0.0)
    assert abs(found((rate(14_000, 950), rate(6000, 550))).z) > 5


@pytest.mark.parametrize(
    ("control", "variant", "kind"),
    [
        (of_units([]), of_units([]), NotEnoughData),
        (of_units([1.0]), of_units([1.0, 2.0]), NotEnoughData),
        (of_units([3.0] * 9), of_units([3.0] * 9), Constant),
        (of_units([1.0, math.inf]), of_units([1.0, 2.0]), NotFinite),
        (of_units([1.0, 2.0], [0.0, 0.0]), of_units([1.0, 2.0], [1.0, 1.0]), NotFinite),
    ],
)
def test_what_cannot_be_said_is_a_value(control: UnitMoments, variant: UnitMoments, kind: type):
    one = effect([(control, variant)])
    assert isinstance(one, kind)
    comparison = compare(
        Metric("revenue", Kind.MEAN), [Phase(control, variant, 0.5)], alpha=0.05, tuned_units=1000, least_units=2
    )
    assert (comparison.low, comparison.high, comparison.p) == (-math.inf, math.inf, 1.0)


def test_one_unit_with_a_million_events_is_one_unit():
    calm = of_units(np.r_[np.ones(999), 1e6])
    one = found((of_units(np.ones(1000) + np.arange(1000) % 2), calm))
    assert abs(one.z) < 1.1


@given(st.floats(0, 1), st.integers(2, 80), st.booleans())
def test_a_small_arm_without_the_large_values_is_not_surer_of_its_mean(large: float, few: int, adjusted: bool):
    """Both arms draw from one law, of which the small one has met small values only."""
    values = np.r_[np.linspace(0, 1, 380), np.full(20, 10 + 90 * large)]
    before = values + np.arange(400) % 3 if adjusted else np.zeros(400)
    one = found((of_units(values, c=before), of_units(values[:few], c=before[:few])))
    as_spread_as_the_other = one.control_error * math.sqrt(1 + 400 / few)
    assert one.standard_error >= as_spread_as_the_other * (1 - 1e-9)


def counts(**units: tuple[int, int]) -> Counts:
    """Clicks and errors of three variants: units by name, each with its rate of clicks and of errors in percent."""
    shares = {"control": 0.5, "a": 0.25, "b": 0.25}
    moments = {
        metric: {name: rate(shares_of, shares_of * percent[index] // 100) for name, (shares_of, percent) in _all(units)}
        for index, metric in enumerate(("click", "error"))
    }
    return Counts(shares, {name: n for name, (n, _) in _all(units)}, moments)


def _all(units):
    sizes = {"control": 40_000, "a": 20_000, "b": 20_000}
    return [(name, (sizes[name], units[name])) for name in sizes]


DESIGN = Design("control", ("a", "b"), (CLICK, HARM))


@pytest.mark.parametrize(
    ("rates", "state", "variant"),
    [
        ({"control": (5, 2), "a": (5, 2), "b": (5, 2)}, State.UNDECIDED, None),
        ({"control": (5, 2), "a": (7, 2), "b": (6, 2)}, State.BETTER, "a"),
        ({"control": (5, 2), "a": (7, 4), "b": (5, 2)}, State.GUARDRAIL_HARMED, "a"),
        ({"control": (6, 2), "a": (4, 2), "b": (4, 2)}, State.WORSE, None),
    ],
)
def test_an_experiment_says_what_its_counts_say(rates, state: State, variant: str | None):
    analysis = analyse(DESIGN, [counts(**rates)])
    assert (analysis.state, analysis.variant) == (state, variant)
    assert analysis.sample_ratio_p > 0.001


def test_nothing_is_believed_where_shares_are_wrong():
    good = counts(control=(5, 2), a=(7, 2), b=(5, 2))
    lost = Counts(good.shares, {**good.units, "a": 18_000}, good.moments)
    analysis = analyse(DESIGN, [lost])
    assert analysis.state is State.SHARES_WRONG
    assert analysis.sample_ratio_p < 1e-6


def test_an_effect_that_is_proven_small_is_futile_and_a_guardrail_within_its_margin_safe():
    arms = {"control": rate(2_000_000, 100_000), "a": rate(2_000_000, 100_500)}
    shares, units = {"control": 0.5, "a": 0.5}, {"control": 2_000_000, "a": 2_000_000}
    design = Design("control", ("a",), (CLICK, HARM))
    analysis = analyse(design, [Counts(shares, units, {"click": arms, "error": arms})])
    assert analysis.state is State.FUTILE
    assert [result.finding for result in analysis.results] == [Finding.FUTILE, Finding.SAFE]


def test_what_the_control_never_has_is_better_or_harmed_once_the_variant_has_it_beyond_chance():
    arms = {"control": rate(40_000, 0), "a": rate(40_000, 400)}
    shares, units = {"control": 0.5, "a": 0.5}, {"control": 40_000, "a": 40_000}
    design = Design("control", ("a",), (CLICK, HARM))
    analysis = analyse(design, [Counts(shares, units, {"click": arms, "error": arms})])
    assert [result.finding for result in analysis.results] == [Finding.BETTER, Finding.HARMED]
    assert (analysis.state, analysis.variant) == (State.GUARDRAIL_HARMED, "a")
    few = {"control": rate(40_000, 0), "a": rate(40_000, 2)}
    analysis = analyse(design, [Counts(shares, units, {"click": few, "error": few})])
    assert [result.finding for result in analysis.results] == [Finding.UNDECIDED, Finding.UNDECIDED]


def test_a_relative_effect_on_a_negative_value_lies_in_its_interval():
    draw = np.random.default_rng(1)
    arms = Phase(of_units(draw.normal(-10, 1, 5000)), of_units(draw.normal(-5, 1, 5000)), 0.5)
    one = compare(Metric("profit", Kind.MEAN), [arms], alpha=0.05, tuned_units=10_000, least_units=200)
    assert isinstance(one.effect, Effect)
    assert one.relative_low < one.effect.relative < one.relative_high
    assert one.effect.relative == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"variants": ()}, "variants"),
        ({"variants": ("control",)}, "only once"),
        ({"metrics": (HARM,)}, "role success"),
        ({"metrics": (CLICK, CLICK)}, "only once"),
        ({"alpha": 0.0}, "alpha"),
        ({"tuned_units": math.nan}, "tuned_units"),
    ],
)
def test_a_design_that_cannot_be_is_refused_by_its_field(change, named: str):
    with pytest.raises(ValueError, match=named):
        Design(**({"control": "control", "variants": ("a",), "metrics": (CLICK,)} | change))


def test_slices_are_called_better_only_beyond_what_many_of_them_explain():
    design = Design("control", ("a",), (CLICK,))
    draws = np.random.default_rng(3)

    def slice_of(control: float, variant: float) -> list[Counts]:
        clicks = {"control": draws.binomial(2_000, control), "a": draws.binomial(2_000, variant)}
        arms = {name: rate(2_000, int(count)) for name, count in clicks.items()}
        return [Counts({"control": 0.5, "a": 0.5}, dict.fromkeys(arms, 2_000), {"click": arms})]

    def called(slices: dict[str, list[Counts]]) -> set[str]:
        found = explore(design, slices)
        return {value for value, (result,) in found.items() if result.finding is Finding.BETTER}

    same = {f"s{n}": slice_of(0.05, 0.05) for n in range(400)}
    assert not called(same)
    assert "AT" in called({**same, "AT": slice_of(0.05, 0.15)})
    assert explore(design, {}) == {}


@pytest.mark.parametrize(("control", "variant"), [(0.02, 0.05), (0.5, 0.25), (0.3, 0.3), (0.02, 0.2)])
def test_the_interval_of_a_relative_effect_holds_where_the_controls_value_is_not_known_either(control, variant):
    """Its error counts by what is divided: taken as known, intervals of 95 % held in 77 % from 2 to 5 %."""
    draw, units, held, beyond = np.random.default_rng(4), 2_000, 0, 0
    truth = variant / control - 1
    for _ in range(2_000):
        arms = [rate(units, int(draw.binomial(units, each))) for each in (control, variant)]
        found = effect([(arms[0], arms[1])])
        if isinstance(found, Effect):
            low, high = found.relative_bounds(1.96, rates=True)
            held += low <= truth <= high
            beyond += low < -1
    assert held >= 0.93 * 2_000
    assert beyond == 0


def test_no_rate_is_said_to_fall_by_more_than_all_of_it():
    shares, units = {"control": 0.5, "a": 0.5}, {"control": 500, "a": 500}
    arms = {"control": rate(500, 4), "a": rate(500, 1)}
    (one,) = analyse(Design("control", ("a",), (CLICK,)), [Counts(shares, units, {"click": arms})]).results
    assert one.comparison.relative_low == -1.0
    assert one.comparison.low < -0.008, "of the difference the bound is what it is"


@given(st.integers(1, 400), st.integers(0, 400), st.floats(0.1, 5))
def test_no_relative_difference_is_inside_exactly_when_no_difference_is(control: int, variant: int, errors: float):
    found = effect([(rate(1_000, control), rate(1_000, variant))])
    assert isinstance(found, Effect)
    low, high = found.relative_bounds(errors, rates=True)
    if abs(abs(found.z) - errors) > 1e-9:
        assert (low <= 0 <= high) == (abs(found.z) < errors)
