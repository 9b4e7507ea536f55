"""What the page about data draws, and of which columns."""

import re

from headrace.monitor.v1 import monitor_pb2
from headrace_console.pages.data import calibration, columns_of, histogram


def report(column: str, severity: int, effect: float | None = None) -> monitor_pb2.DriftReport:
    return monitor_pb2.DriftReport(column=column, severity=severity, effect=effect)  # type: ignore[arg-type]


def reference(*names: str) -> monitor_pb2.Reference:
    return monitor_pb2.Reference(columns=[monitor_pb2.Reference.Column(name=name) for name in names])


def test_the_chosen_column_is_shown_first_and_then_those_that_changed_most_each_once():
    reports = [report("a", 1, 0.1), report("b", 4, 0.5), report("b", 2), report("c", 4, 0.9), report("", 4, 1.0)]
    frozen = reference("a", "b", "c")
    assert columns_of(reports, "a", frozen) == ["a", "c", "b"]
    assert columns_of(reports, "", frozen) == ["c", "b", "a"]
    names = [f"c{number}" for number in range(50)]
    assert len(columns_of([report(name, 2) for name in names], "", reference(*names))) == 6


def test_columns_that_the_present_reference_does_not_know_are_not_asked_for():
    reports = [report("a", 1, 0.1), report("gone", 4, 0.5)]
    assert columns_of(reports, "made-up", reference("a")) == ["a"]
    assert columns_of(reports, "", None) == []


def test_a_distribution_is_drawn_beside_its_reference_with_its_shares_for_who_hovers():
    bins = [
        monitor_pb2.Distribution.Bin(label="≤ 3", reference_share=0.25, window_share=0.75),
        monitor_pb2.Distribution.Bin(label="<b>", reference_share=0.75, window_share=0.25),
    ]
    drawn = str(histogram(monitor_pb2.Distribution(column="age", bins=bins)))
    assert "≤ 3, reference: 25 %" in drawn
    assert "≤ 3, now: 75 %" in drawn
    assert "&lt;b&gt;" in drawn
    assert "<b>" not in drawn


def test_scores_that_are_probabilities_lie_on_the_diagonal():
    group = monitor_pb2.Performance.ScoreGroup
    groups = [
        group(mean_score=share, share=share, lower=max(share - 0.1, 0), upper=min(share + 0.1, 1), rows=10)
        for share in (0.0, 0.5, 1.0)
    ]
    drawn = str(calibration(monitor_pb2.Performance(version="v1", score_groups=groups)))
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle class="dot" cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert x1 - x0 == x2 - x1 == y0 - y1 == y1 - y2
    assert "expected 0.5, observed 0.5 (0.4 to 0.6)" in drawn
