"""What an experiment says in each situation, from the sums of its units to the sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.judge.experiments.decisions import definitions
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric, started
from headrace_monitor.judge.experiments.decisions.tally import MomentRow, UnitSums
from headrace_monitor.judge.experiments.decisions.verdicts import Verdict, sentence, verdict
from headrace_servicekit.errors import PreconditionFailed
from headrace_statistics.experiments.analysis import Finding, State
from headrace_statistics.experiments.design import Kind, Role

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = START + timedelta(days=4)
CLICK = Metric("click", Kind.BINARY, Role.SUCCESS, "click")
ERROR = Metric("error", Kind.BINARY, Role.GUARDRAIL, "error", margin=0.1, higher_is_better=False)


def experiment(share: float = 0.5, *more: Metric) -> Experiment:
    definition = Definition("", {"control": 1 - share, "new": share}, (CLICK, *more))
    return started(Experiment("shop", "one", definition, "ada", START), START)


def said(one: Experiment, units: tuple[int, int], *events: tuple[int, int]) -> Verdict:
    """Say it of so many units, and of so many events of each metric, of the control and the variant."""
    rows = []
    for at, (variant, count) in enumerate(zip(("control", "new"), units, strict=True)):
        rows.append(MomentRow("", 0, None, 0, variant, count, 0))
        for metric, these in enumerate(events):
            sums = these[at], count, 0, these[at], None, None, None, None, None
            rows.append(MomentRow("", 0, metric, 0, variant, count, 0, UnitSums(count, sums, (1.0, 1.0, 1.0), (0, 1))))
    return verdict(one, rows, NOW)


@pytest.mark.parametrize(
    ("share", "units", "events", "state", "finding", "words"),
    [
        pytest.param(
            0.5, (20_000, 20_000), (1_000, 1_300), State.BETTER, Finding.BETTER,
            ["new is better, and harms no guardrail so far", "+30.0% (between +", "better than the control"],
            id="better",
        ),
        pytest.param(
            0.1, (12_897, 1_433), (516, 29), State.WORSE, Finding.WORSE,
            ["every variant is worse than the control", "-49.4% (between -", "worse than the control"], id="halved",
        ),
        pytest.param(
            0.5, (100, 100), (5, 5), State.UNDECIDED, Finding.UNDECIDED,
            ["compatible with no difference", "nothing to say yet", "100", "200"], id="few units",
        ),
        pytest.param(
            0.5, (5_000, 5_000), (250, 260), State.UNDECIDED, Finding.UNDECIDED,
            ["+4.0% (between -", "undecided; an effect of", "would be significant now"], id="undecided",
        ),
        pytest.param(
            0.5, (2_000_000, 2_000_000), (100_000, 100_500), State.FUTILE, Finding.FUTILE,
            ["no variant is better by what", "+0.5% (between -", ": not better by the 10.0% that is worth"], id="flat",
        ),
        pytest.param(
            0.1, (12_897, 1_433), (516, 32), State.FUTILE, Finding.FUTILE,
            ["-44.2% (between -", "worse by its interval, not by its p-value of 0.1; not better by the 10.0%"],
            id="futile and negative",
        ),
    ],
)  # fmt: skip
def test_a_success_metric(
    share: float, units: tuple[int, int], events: tuple[int, int], state: State, finding: Finding, words: list[str]
):
    found = said(experiment(share), units, events)
    (result,) = found.analysis.results
    assert (found.analysis.state, result.finding) == (state, finding)
    text = f"{found.summary}\n{sentence(result)}"
    assert [one for one in words if one not in text] == [], text


def test_too_few_large_values():
    """Nine in ten spend 0 or 1; the revenue hangs on one unit of 5,000, and who has it is luck."""
    revenue = Metric("revenue", Kind.MEAN, Role.SUCCESS, "reward")
    running = experiment(0.05)
    running = replace(running, definition=replace(running.definition, metrics=(revenue,)))
    sums = (5_000 + 1_900, 3_800, 0, 25_000_000 + 1_900), (100, 200, 0, 100)
    rows = [
        row
        for variant, (y, units, c, squares), most in zip(("control", "new"), sums, (5_000, 1), strict=True)
        for row in (
            MomentRow("", 0, None, 0, variant, units, 0),
            MomentRow(
                *("", 0, 0, 0, variant, units, 0),
                UnitSums(units, (y, units, c, squares, *[None] * 5), (1.0, 1.0, 1.0), (0, most)),
            ),
        )
    ]
    (result,) = verdict(running, rows, NOW).analysis.results
    assert result.finding is Finding.UNDECIDED
    assert "undecided, since one more unit as far off as the furthest so far would move it 1.3 times" in sentence(
        result
    )
    assert not verdict(running, rows, NOW).days_to_go


def test_a_harmed_guardrail():
    found = said(experiment(0.5, ERROR), (20_000, 20_000), (1_000, 1_300), (400, 800))
    assert found.summary == "new makes a guardrail worse by more than its margin: stop it"
    assert "+100.0% (between +" in sentence(found.analysis.results[1])
    assert sentence(found.analysis.results[1]).endswith("worse by more than the margin of 10.0%")


def test_wrong_shares():
    found = said(experiment(), (20_000, 18_000), (1_000, 1_300))
    assert found.analysis.state is State.SHARES_WRONG
    assert found.summary.startswith("units are not assigned in the declared shares")


def test_one_that_was_not_started():
    draft = Experiment("shop", "one", experiment().definition, "ada", START)
    with pytest.raises(PreconditionFailed, match="'one' has not been started: `headrace experiments start`"):
        definitions.check_ran(draft)


def test_one_that_has_ended_waits_for_nothing():
    running = experiment()
    ended = definitions.ended(running, "", NOW)
    definitions.check_ran(ended)
    units, events = (5_000, 5_000), (250, 260)
    assert said(running, units, events).days_to_go
    assert not said(ended, units, events).days_to_go
    assert said(ended, units, events).analysis == said(running, units, events).analysis
