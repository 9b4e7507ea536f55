"""The SELECT of an experiment over small logs: who is assigned to what, and which outcomes count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow
import pytest
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.judge.experiments.decisions.moments import Steps, moments_sql, steps_of
from headrace_monitor.judge.experiments.decisions.selection import from_log, read_range, units_sql
from headrace_monitor.judge.experiments.decisions.tally import MomentRow, rows_of
from headrace_monitor.judge.experiments.decisions.verdicts import history, sentence, slices, verdict
from headrace_statistics.experiments.analysis import Finding
from headrace_statistics.experiments.comparisons import Phase, compare
from headrace_statistics.experiments.design import Kind, Role
from headrace_statistics.experiments.design import Metric as MetricDesign
from headrace_statistics.experiments.effects import Effect
from headrace_statistics.experiments.moments import of_units
from headrace_statistics.inconclusive import NotFinite

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
DAY = timedelta(days=1)
CLICK = Metric("click", Kind.BINARY, Role.SUCCESS, "click")
REVENUE = Metric("revenue", Kind.MEAN, Role.QUALITY, "reward", cap=100.0)
BASKET = Metric("basket", Kind.RATIO, Role.QUALITY, "reward", denominator="predictions")
DEFINITION = Definition("", {"control": 1.0, "new": 1.0}, (CLICK, REVENUE, BASKET), covariate_window=DAY)
RUNNING = started(Experiment("shop", "one", DEFINITION, "ada", START), START)

# unit, variant, days after the start, and the country if there is one
Answer = tuple[str, str, float] | tuple[str, str, float, str]
# unit, days of its prediction after the start, kind, number, days after the start when it became true
Fact = tuple[str, float, str, float, float]


def asked(sql: str, answers: Sequence[Answer], facts: Sequence[Fact] = ()) -> list[tuple[Any, ...]]:
    """Return what a SELECT finds in a log of these answers and outcomes."""
    time, word = pyarrow.timestamp("us", "UTC"), pyarrow.string()
    predictions = pyarrow.table(
        {
            "model": pyarrow.array(["shop"] * len(answers), word),
            "unit": pyarrow.array([unit for unit, *_ in answers], word),
            "variant": pyarrow.array([each[1] for each in answers], word),
            "generation": pyarrow.array([7] * len(answers), pyarrow.int64()),
            "answer_time": pyarrow.array([START + each[2] * DAY for each in answers], time),
            "attributes": pyarrow.array(
                [[("country", each[3])] if len(each) > 3 else None for each in answers], pyarrow.map_(word, word)
            ),
        }
    )
    labelled = pyarrow.table(
        {
            "model": pyarrow.array(["shop"] * len(facts), word),
            "unit": pyarrow.array([unit for unit, *_ in facts], word),
            "answer_time": pyarrow.array([START + each[1] * DAY for each in facts], time),
            "outcome_kind": pyarrow.array([each[2] for each in facts], word),
            "outcome_number": pyarrow.array([each[3] for each in facts], pyarrow.float64()),
            "outcome_time": pyarrow.array([START + each[4] * DAY for each in facts], time),
        }
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("predictions", predictions)
        connection.register("labelled", labelled)
        columns = connection.execute(sql).to_arrow_table().columns
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def rows(
    answers: Sequence[Answer],
    facts: Sequence[Fact] = (),
    experiment: Experiment = RUNNING,
    slice_by: str = "",
    steps: Steps | None = None,
) -> list[MomentRow]:
    sql = from_log(experiment, moments_sql(experiment, slice_by, steps), slice_by or experiment.definition.stratify_by)
    return list(rows_of(asked(sql, answers, facts)))


def units(found: Sequence[MomentRow]) -> dict[tuple[int, str], int]:
    return {(row.phase, row.variant): row.units for row in found if row.metric is None}


def mean(found: Sequence[MomentRow], metric: int, variant: str = "new", column: int = 0) -> float:
    (row,) = [row for row in found if row.metric == metric and row.variant == variant]
    assert row.sums is not None
    return float(row.sums.moments.means[column])


def test_a_unit_counts_once_for_the_variant_of_its_first_answer_in_whatever_order_records_come():
    answers = [("u1", "new", 2), ("u1", "control", 1), ("u1", "control", 1), ("u2", "new", 3), ("", "new", 3)]
    found = rows(answers)
    assert units(found) == units(rows(answers[::-1])) == {(0, "control"): 1, (0, "new"): 1}
    assert sum(row.crossed for row in found) == 1


def test_answers_before_the_start_after_the_end_and_of_other_variants_assign_nobody():
    ended = definitions.ended(RUNNING, "", START + 5 * DAY)
    answers = [("early", "new", -1), ("late", "new", 6), ("other", "holdout", 1), ("in", "new", 4.9)]
    assert units(rows(answers, experiment=ended)) == {(0, "new"): 1}


def test_outcomes_count_from_the_first_answer_to_the_end_of_the_attribution_window():
    facts = [("u", 1, "click", 1, days) for days in (0.9, 8.0)]
    assert mean(rows([("u", "new", 1)], facts), 0) == 0
    assert mean(rows([("u", "new", 1)], [*facts, ("u", 1, "click", 1, 7.9)]), 0) == 1
    assert mean(rows([("u", "new", 1)], [("u", 1, "click", 0, 2)]), 0) == 0


def test_a_mean_sums_a_units_outcomes_up_to_its_cap_and_a_unit_without_any_is_zero():
    facts = [("u", 1, "reward", 30.0, 2), ("u", 1, "reward", 20.0, 3), ("rich", 1, "reward", 1e9, 2)]
    found = rows([("u", "new", 1), ("rich", "new", 1), ("none", "new", 1)], facts)
    assert mean(found, 1) == pytest.approx((50 + 100 + 0) / 3)
    assert mean(rows([("u", "new", 1)], [("u", 1, "reward", float("nan"), 2)]), 1) == 0


def test_a_ratio_has_the_units_predictions_below_the_line():
    facts = [("u", 1, "reward", 30.0, 2)]
    found = rows([("u", "new", 1), ("u", "new", 2), ("u", "new", 3), ("v", "new", 1)], facts)
    assert (mean(found, 2, column=0), mean(found, 2, column=1)) == (15.0, 2.0)


def test_the_time_before_a_units_first_answer_is_its_covariate_and_not_its_value():
    facts = [("u", -0.5, "reward", 7.0, 0.5), ("u", -3, "reward", 9.0, -1), ("u", 1, "reward", 5.0, 2)]
    found = rows([("u", "old", -0.5), ("u", "new", 1)], facts)
    assert (mean(found, 1, column=0), mean(found, 1, column=2)) == (5.0, 7.0)


def test_units_belong_to_the_phase_of_their_first_answer():
    ramped = definitions.reweighted(RUNNING, {"control": 1.0, "new": 3.0}, START + 2 * DAY)
    found = rows([("u1", "new", 1), ("u1", "new", 3), ("u2", "new", 3)], experiment=ramped)
    assert units(found) == {(0, "new"): 1, (1, "new"): 1}
    said = verdict(ramped, found, NOW)
    assert said.assigned == {"control": 0, "new": 2}
    assert said.expected == {"control": 0.75, "new": 1.25}


def test_a_metric_of_which_the_control_has_nothing_is_told_without_shares_of_nothing():
    sizes = {"control": [0.0] * 300, "new": [1.0] * 3 + [0.0] * 297}
    found = rows(
        [(f"{variant}{at}", variant, 1) for variant, values in sizes.items() for at, _ in enumerate(values)],
        [(f"new{at}", 1, "click", 1, 2) for at in range(3)],
    )
    (click, *_) = verdict(RUNNING, found, NOW).analysis.results
    assert sentence(click).startswith("click of new: +0.01 (between -0.0")
    assert "inf" not in sentence(click)


@pytest.mark.parametrize("kind", ["unit", "variant", "variants", "phase", "first_time", "answered", "answered_before"])
def test_a_kind_of_outcome_may_be_called_like_a_column(kind: str):
    metrics = (Metric("m", Kind.BINARY, Role.SUCCESS, kind), Metric("r", Kind.RATIO, Role.QUALITY, "reward", kind))
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=metrics))
    found = rows([("u", "new", 1), ("v", "new", 1)], [("u", 1, kind, 4.0, 2), ("u", 1, "reward", 3.0, 2)], experiment)
    assert (mean(found, 0), mean(found, 1, column=0), mean(found, 1, column=1)) == (0.5, 1.5, 2.0)


@pytest.mark.parametrize("number", [1e200, 1e308, -1e308])
def test_numbers_beyond_all_bounds_take_away_their_own_metric_only(number: float):
    answers = [(f"{variant}{at}", variant, 1) for variant in DEFINITION.weights for at in range(300)]
    facts = [("new1", 1, "click", 1, 2)]
    facts += [
        (f"{variant}{at}", day, "reward", number, day)
        for variant in DEFINITION.weights
        for at, day in ((0, 0.5), (1, 0.5), (1, 2), (2, 2))
    ]
    click, revenue, basket = verdict(RUNNING, rows(answers, facts), NOW).analysis.results
    assert isinstance(click.comparison.effect, Effect)
    assert {type(one.comparison.effect) for one in (revenue, basket)} <= {Effect, NotFinite}
    assert isinstance(basket.comparison.effect, NotFinite)
    assert (basket.comparison.p, basket.finding) == (1.0, Finding.UNDECIDED)


def test_names_with_quotes_stay_names():
    odd = replace(RUNNING, model="shop' or '1'='1")
    assert rows([("u", "new", 1)], experiment=odd) == []


def test_what_is_read_begins_with_the_time_before_and_ends_with_the_last_outcome():
    assert read_range(RUNNING, NOW) == (START - DAY, NOW + timedelta(days=7))


def test_a_unit_is_in_the_slice_of_its_first_answer_and_the_largest_come_first():
    answers = [
        *[(f"at{n}", ("control", "new")[n % 2], 1, "AT") for n in range(6)],
        *[(f"none{n}", ("control", "new")[n % 2], 1) for n in range(4)],
        ("moved", "new", 1, "DE"),
        ("moved", "new", 2, "AT"),
    ]
    found = slices(RUNNING, rows(answers, slice_by="country"), 11)
    assert [(one.value, one.units) for one in found] == [("AT", 6), ("", 4), ("DE", 1)]
    assert {one.value for one in slices(RUNNING, rows(answers, slice_by="plan"), 11)} == {""}
    assert units(rows(answers)) == {(0, "control"): 5, (0, "new"): 6}, "nothing is sliced unless it is asked for"


def test_at_most_twenty_slices_are_told():
    answers = [(f"u{n}-{at}", "new", 1, f"c{n:02}") for n in range(25) for at in range(1 + (n < 20))]
    told = slices(RUNNING, rows(answers, slice_by="country"), len(answers))
    assert {one.value for one in told} == {f"c{n:02}" for n in range(20)}


MEDIAN = Metric("median", Kind.QUANTILE, Role.QUALITY, "reward", quantile=0.5)


def test_a_quantile_is_of_the_units_and_exact():
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=(CLICK, MEDIAN)))
    answers = [(f"{variant}{at}", variant, 1) for variant in DEFINITION.weights for at in range(999)]
    facts = [(f"{variant}{at}", 1, "reward", float(at), 2) for variant in DEFINITION.weights for at in range(999)]
    _, median = verdict(experiment, rows(answers, facts, experiment), NOW).analysis.results
    assert isinstance(median.comparison.effect, Effect)
    assert (median.comparison.effect.control, median.comparison.effect.difference) == (499.0, 0.0)
    assert median.comparison.exact
    assert -0.3 < median.comparison.relative_low < 0 < median.comparison.relative_high < 0.3


def test_units_are_compared_within_their_stratum_and_rare_values_are_one_stratum():
    """Simpson: of AT few units convert and most have met the variant; of DE most convert and few have."""
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=(CLICK,), stratify_by="country"))
    sizes = {("AT", "control"): 300, ("AT", "new"): 900, ("DE", "control"): 900, ("DE", "new"): 300}
    answers = [(f"{c}{v}{at}", v, 1, c) for (c, v), size in sizes.items() for at in range(size)]
    facts = [
        (f"{c}{v}{at}", 1, "click", 1.0, 2)
        for (c, v), size in sizes.items()
        for at in range(size // (10 if c == "AT" else 2))
    ]
    (within,) = verdict(experiment, rows(answers, facts, experiment), NOW).analysis.results
    assert isinstance(within.comparison.effect, Effect)
    assert within.comparison.effect.difference == pytest.approx(0.0)
    (pooled,) = verdict(RUNNING, rows(answers, facts), NOW).analysis.results[:1]
    assert isinstance(pooled.comparison.effect, Effect)
    assert pooled.comparison.effect.difference == pytest.approx(-0.2)
    rare = [*answers, *[(f"rare{n}", "new", 1, f"c{n:03}") for n in range(60)]]
    found = rows(rare, facts, experiment)
    assert len({row.slice_value for row in found}) == 21, "twenty values, and one for all others"
    assert sum(units(found).values()) <= len(rare)
    assert sum(verdict(experiment, found, NOW).assigned.values()) == len(rare)


def test_units_that_met_two_variants_are_counted_and_left_out_as_declared():
    answers = [("u1", "new", 1), ("u1", "control", 2), ("u2", "new", 1), ("u3", "control", 1)]
    facts = [("u1", 1, "click", 1, 2)]
    kept = rows(answers, facts)
    assert mean(kept, 0) == 0.5
    excluding = replace(RUNNING, definition=replace(DEFINITION, exclude_crossed=True))
    left = rows(answers, facts, excluding)
    assert mean(left, 0) == 0
    assert (units(left), sum(row.crossed for row in left)) == (units(kept), 1)


def test_a_cap_bounds_both_ends():
    facts = [("u", 1, "reward", -1e12, 2), ("v", 1, "reward", 1e12, 2)]
    assert mean(rows([("u", "new", 1), ("v", "new", 1), ("w", "new", 1)], facts), 1) == 0


def test_the_last_point_of_the_history_is_what_the_analysis_says():
    metrics = (CLICK, REVENUE, MEDIAN)
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=metrics, stratify_by="country"))
    experiment = definitions.reweighted(experiment, {"control": 1.0, "new": 3.0}, START + 4 * DAY)
    answers = [(f"{v}{at}", v, at % 10, ("AT", "DE")[at % 3 == 0]) for v in DEFINITION.weights for at in range(600)]
    facts = [
        fact
        for v in DEFINITION.weights
        for at in range(600)
        for fact in (
            (f"{v}{at}", 1, "click", float(at % 7 == 0), 10.0),
            (f"{v}{at}", 1, "reward", float(at % 97), 10.0),
        )
    ]
    steps = steps_of(experiment, NOW)
    points = history(experiment, rows(answers, facts, experiment, steps=steps), steps, NOW)
    said = verdict(experiment, rows(answers, facts, experiment), NOW)
    assert len(points) == steps.count == 20
    assert (points[0].assigned["new"], points[-1].assigned["new"]) == (60, 600)
    assert [each.time for each in points[-2:]] == [NOW - DAY / 2, NOW]
    for ours, theirs in zip(points[-1].analysis.results, said.analysis.results, strict=True):
        assert ours.comparison.effect == pytest.approx(theirs.comparison.effect) or ours.finding == theirs.finding
        assert (ours.comparison.low, ours.comparison.p) == pytest.approx((theirs.comparison.low, theirs.comparison.p))
    assert points[-1].analysis.sample_ratio_p == pytest.approx(said.analysis.sample_ratio_p)


@pytest.mark.parametrize(
    ("ran", "width", "count"),
    [(0, 1, 1), (20, 1, 20), (90, 5, 18), (3600, 300, 12), (86_400, 3600, 24), (10**9, 10**9 / 30, 30)],
)
def test_a_history_has_at_most_thirty_points(ran: float, width: float, count: int):
    steps = steps_of(RUNNING, START + timedelta(seconds=ran))
    assert (steps.width.total_seconds(), steps.count) == (pytest.approx(width, rel=1e-3), count)


def test_the_units_themselves_can_be_had_in_parts():
    answers = [(f"u{n}", "new", 1) for n in range(100)]
    whole = asked(from_log(RUNNING, units_sql(RUNNING)), answers, [("u1", 1, "reward", 3.0, 2)])
    parts = [asked(from_log(RUNNING, units_sql(RUNNING, parts=3, part=part)), answers) for part in range(3)]
    assert all(parts)
    assert (
        sorted(row[0] for part in parts for row in part)
        == sorted(row[0] for row in whole)
        == sorted(u for u, *_ in answers)
    )
    (one,) = [row for row in whole if row[0] == "u1"]
    assert one[1:7] == ("new", START + DAY, 7, 0, "", 1)
    assert 3.0 in one


def test_days_to_go_are_those_until_the_effect_worth_finding_is_found():
    answers = [(f"{variant}{at}", variant, at % 10) for variant in DEFINITION.weights for at in range(1000)]
    facts = [
        (f"{variant}{at}", 1, "click", 1.0, at % 10 + 0.5) for variant in DEFINITION.weights for at in range(0, 1000, 5)
    ]
    said = verdict(RUNNING, rows(answers, facts), NOW)
    # A rate of .2 needs 12,500 units of both for a single look, and twice as many for any; 200 come a day.
    assert said.days_to_go == {("new", "click"): pytest.approx(115, rel=0.1)}
    assert "takes about" in sentence(said.analysis.results[0], said.days_to_go["new", "click"])
    assert not verdict(definitions.ended(RUNNING, "", NOW), rows(answers, facts), NOW).days_to_go


FOUND = replace(REVENUE, role=Role.SUCCESS, cap=0.0, cap_quantile=0.9, cap_units=100)


def test_a_cap_is_found_from_the_first_units_of_all_variants_and_told():
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=(FOUND,)))
    answers = [(f"{variant}{at}", variant, at / 100) for variant in DEFINITION.weights for at in range(300)]
    # Of the first hundred units every other one has a value, from 2 to 100; later ones spend much more.
    values = {at: float(at + 2) if at < 50 and at % 2 == 0 else 0.0 if at < 50 else 1e6 for at in range(300)}
    facts = [(f"{v}{at}", at / 100, "reward", values[at], 5) for v in DEFINITION.weights for at in range(300)]
    said = verdict(experiment, rows(answers, facts, experiment), NOW)
    assert said.caps == {"revenue": 46.0}, "nine tenths of 2, 4, … 50, each of two units"
    (one,) = said.analysis.results
    assert isinstance(one.comparison.effect, Effect)
    assert one.comparison.effect.control == pytest.approx((sum(min(v, 46.0) for v in values.values())) / 300)
    assert sentence(one, None, 46.0).endswith("; a unit counts up to 46")
    capped = asked(from_log(experiment, units_sql(experiment)), answers, facts)
    assert max(row[7] for row in capped) == 46.0


def test_nothing_is_said_of_a_metric_whose_cap_waits_for_units():
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=(CLICK, replace(FOUND, cap_units=700))))
    answers = [(f"{variant}{at}", variant, 1) for variant in DEFINITION.weights for at in range(300)]
    facts = [(f"{v}{at}", 1, "reward", float(at), 2) for v in DEFINITION.weights for at in range(300)]
    facts += [(f"{v}{at}", 1, "click", 1.0, 2) for v in DEFINITION.weights for at in range(30)]
    click, revenue = verdict(experiment, rows(answers, facts, experiment), NOW).analysis.results
    assert isinstance(click.comparison.effect, Effect)
    assert not isinstance(revenue.comparison.effect, Effect)
    assert (revenue.finding, revenue.comparison.p) == (Finding.UNDECIDED, 1.0)


def test_an_a_a_test_of_capped_values_stays_silent_whoever_looks_however_often():
    """Values with a heavy tail: a cap that is found from the first units of both arms favours neither."""
    draw, runs, found = np.random.default_rng(7), 150, 0
    for _ in range(runs):
        values = np.where(draw.random((2, 6_000)) < 0.3, draw.lognormal(2, 2, (2, 6_000)), 0.0)
        first = values[:, :500].ravel()
        cap = np.quantile(first[first > 0], 0.99, method="inverted_cdf")
        values = np.minimum(values, cap)
        found += any(
            compare(
                MetricDesign("revenue", Kind.MEAN),
                [Phase(of_units(values[0, :n]), of_units(values[1, :n]), 0.5)],
                alpha=0.05,
                tuned_units=8_000,
                least_units=200,
            ).p
            <= 0.05
            for n in range(500, 6_001, 250)
        )
    assert found / runs <= 0.05


def test_slices_that_are_not_told_count_for_a_cap_that_all_units_find():
    experiment = replace(RUNNING, definition=replace(DEFINITION, metrics=(replace(FOUND, cap_units=1_100),)))
    answers = [(f"{v}{at}", v, 1, "AT") for v in DEFINITION.weights for at in range(500)]
    answers += [(f"rare{at}", "new", 1, f"c{at:03}") for at in range(200)]
    facts = [(f"{v}{at}", 1, "reward", float(at), 2) for v in DEFINITION.weights for at in range(500)]
    found = slices(experiment, rows(answers, facts, experiment, slice_by="country"), len(answers))
    ((value, units, (one,)), *_) = [(each.value, each.units, each.results) for each in found]
    assert (value, units) == ("AT", 1000)
    assert isinstance(one.comparison.effect, Effect)
