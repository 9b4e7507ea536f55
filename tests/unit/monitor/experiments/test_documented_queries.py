"""The SQL of docs/experiments.md: another analysis of exposures and outcomes finds what ours finds."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import pytest
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, started
from headrace_monitor.judge.experiments.decisions.verdicts import verdict
from headrace_stack.settings import checkout_of_this_file
from headrace_statistics.experiments.design import Role
from headrace_statistics.experiments.effects import Effect

from tests.unit.monitor.experiments.test_selection import NOW, REVENUE, START, asked, rows

WINDOW = timedelta(days=7)


def documented() -> tuple[str, str]:
    """Return the queries of the page: exposures, and outcomes."""
    page = (checkout_of_this_file() / "docs" / "experiments.md").read_text()
    exposures, outcomes = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    return exposures, outcomes


def test_an_analysis_in_a_notebook_finds_the_means_of_ours():
    definition = Definition("", {"control": 1.0, "ranked": 1.0}, (replace(REVENUE, cap=0.0, role=Role.SUCCESS),))
    experiment = started(Experiment("shop", "ranking", definition, "ada", START), START)
    answers = [(f"{variant}{at}", variant, at % 5) for variant in definition.weights for at in range(300)]
    answers += [("control7", "ranked", 6.0), ("held", "holdout", 1.0)]
    facts = [
        (f"{variant}{at}", at % 5, "reward", float(at % 7) + (variant == "ranked"), at % 5 + 3.0)
        for variant in definition.weights
        for at in range(300)
    ]
    facts += [("control1", 1.0, "click", 1.0, 2.0), ("control1", 1.0, "reward", 99.0, 9.5)]
    exposures, outcomes = (asked(sql, answers, facts) for sql in documented())
    first = {user: (time, variation) for user, time, name, variation in exposures if name == "ranking"}
    assert len(first) == 600
    totals: dict[str, float] = defaultdict(float)
    for user, time, value in outcomes:
        exposed, variation = first[user]
        if exposed <= time < exposed + WINDOW:
            totals[variation] += value
    (one,) = verdict(experiment, rows(answers, facts, experiment), NOW).analysis.results
    assert isinstance(one.comparison.effect, Effect)
    means = one.comparison.effect.control, one.comparison.effect.variant
    assert means == pytest.approx((totals["control"] / 300, totals["ranked"] / 300))
