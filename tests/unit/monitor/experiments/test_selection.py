"""The SELECT of an experiment over small logs: who is assigned to what, and which outcomes count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from headrace_monitor.experiments.decisions import definitions
from headrace_monitor.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.experiments.decisions.selection import moments_sql, read_range
from headrace_monitor.experiments.decisions.verdicts import MomentRow, sentence, slices, verdict
from headrace_statistics.experiments.analysis import Finding
from headrace_statistics.experiments.design import Kind, Role
from headrace_statistics.experiments.effects import Effect
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


def rows(
    answers: Sequence[Answer], facts: Sequence[Fact] = (), experiment: Experiment = RUNNING, slice_by: str = ""
) -> list[MomentRow]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create table predictions (model varchar, unit varchar, variant varchar, answer_time timestamptz, "
            "attributes map(varchar, varchar))"
        )
        connection.execute(
            "create table labelled (model varchar, unit varchar, outcome_kind varchar, outcome_number double, "
            "outcome_time timestamptz)"
        )
        for unit, variant, days, *country in answers:
            attributes = {"country": country[0]} if country else None
            values = ["shop", unit, variant, START + days * DAY, attributes]
            connection.execute("insert into predictions values (?, ?, ?, ?, ?)", values)
        for unit, _, kind, number, days in facts:
            values = ["shop", unit, kind, number, START + days * DAY]
            connection.execute("insert into labelled values (?, ?, ?, ?, ?)", values)
        found = connection.execute(moments_sql(experiment, NOW, slice_by)).fetchall()
    return [MomentRow(*row[:6], numbers=None if row[1] is None else tuple(row[6:])) for row in found]


def units(found: Sequence[MomentRow]) -> dict[tuple[int, str], int]:
    return {(row.phase, row.variant): row.units for row in found if row.metric is None}


def mean(found: Sequence[MomentRow], metric: int, variant: str = "new", column: int = 0) -> float:
    (row,) = [row for row in found if row.metric == metric and row.variant == variant]
    assert row.numbers is not None
    return row.numbers[column]


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
    found = slices(RUNNING, rows(answers, slice_by="country"))
    assert [(one.value, one.units) for one in found] == [("AT", 6), ("", 4), ("DE", 1)]
    assert {one.value for one in slices(RUNNING, rows(answers, slice_by="plan"))} == {""}
    assert units(rows(answers)) == {(0, "control"): 5, (0, "new"): 6}, "nothing is sliced unless it is asked for"


def test_at_most_twenty_slices_are_told():
    answers = [(f"u{n}-{at}", "new", 1, f"c{n:02}") for n in range(25) for at in range(1 + (n < 20))]
    assert {one.value for one in slices(RUNNING, rows(answers, slice_by="country"))} == {f"c{n:02}" for n in range(20)}
