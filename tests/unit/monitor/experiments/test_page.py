"""The page of an experiment: every text escaped, nothing loaded, whatever is known."""

from __future__ import annotations

import re
from html import escape
from xml.etree import ElementTree

import pytest
from headrace.monitor.v1 import experiment_pb2 as pb
from headrace_monitor.judge.experiments import drawings
from headrace_monitor.judge.experiments.drawings import Course, Interval
from headrace_monitor.judge.experiments.page import render

BAD = "<script>alert(1)</script>"


def experiment() -> pb.Experiment:
    made = pb.Experiment(name=f"models/shop/experiments/{BAD}", hypothesis=BAD, end_reason=BAD)
    made.variants.add(name="control", weight=1)
    made.variants.add(name=BAD, weight=1)
    made.metrics.add(name="conversion", role=1)
    made.metrics.add(name="revenue", role=2)
    made.start_time.FromSeconds(1_790_000_000)
    made.end_time.FromSeconds(1_790_000_900)
    return made


def analysis(*values: tuple[float | None, float | None, float | None]) -> pb.AnalyseExperimentResponse:
    said = pb.AnalyseExperimentResponse(summary=BAD, sample_ratio_p=0.5, crossed_units=3)
    for metric, (value, low, high) in zip(("conversion", "revenue"), values, strict=False):
        said.results.add(
            variant=BAD, metric=metric, relative=value, relative_low=low, relative_high=high, summary=BAD, days_to_go=2
        )
    said.assigned.add(variant="control", units=1000, expected=990)
    said.assigned.add(variant=BAD, units=980, expected=990)
    said.time.FromSeconds(1_790_000_900)
    return said


def history(*points: pb.AnalyseExperimentResponse) -> pb.GetExperimentHistoryResponse:
    made = pb.GetExperimentHistoryResponse()
    for at, point in enumerate(points):
        one = made.points.add(assigned=point.assigned, results=point.results, sample_ratio_p=1)
        one.time.FromSeconds(1_790_000_000 + 60 * at)
    return made


POINTS = [analysis(), analysis((0.1, -0.4, 0.6)), analysis((0.1, None, None)), analysis((0.1, 0.05, 0.15), (0, -1, 1))]


@pytest.mark.parametrize("points", [POINTS[:1], POINTS[1:2], POINTS, [analysis((1e300, -1e300, 1e308))]])
def test_the_page_shows_effects_units_and_every_metric_and_escapes_what_is_written(points):
    html = render(experiment(), history(*points), points[-1])
    assert BAD not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r"(src|href)=|url\(|nan|[^a-z]inf[^a-z]", html)
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)
    assert html.count("<svg") == 2 + 1 + 2
    assert "3 units met more than one variant" in html


def test_a_variant_has_one_colour_throughout():
    html = render(experiment(), history(*POINTS), POINTS[-1])
    colours = re.findall(r'<i class="(c\d)"></i>([^<]+)', html)
    assert len(colours) == 3, "in the legends of effects and of units"
    assert set(colours) == {("c0", "control"), ("c1", escape(BAD))}
    assert set(re.findall(r'class="line (c\d)"', html.partition("Balance of units")[0])) == {"c1"}
    assert set(re.findall(r'class="line (c\d)"', html.partition("Every metric")[2])) == {"c1"}


def test_intervals_that_are_not_known_leave_a_gap():
    html = render(experiment(), history(*POINTS), POINTS[-1])
    assert html.count("<polygon") == 3
    assert "About 2.0 days to go" in html


def test_an_axis_reaches_as_far_as_what_is_drawn_and_has_no_exponents():
    wide, narrow = Interval(9.4, -2.0, 20.0), Interval(9.4, 8.0, 11.0)
    drawn = drawings.courses("refund", ["a", "b", "c"], [Course("new", "c1", (wide, wide, narrow))])
    assert "+2,300 %" in drawn  # 15 % beyond the widest
    assert "e+0" not in drawn
    early = Interval(9.4, -900.0, 900.0)
    assert "+3,300 %" in drawings.courses("refund", ["a", "b"], [Course("new", "c1", (early, narrow))])
