"""The effect of an experiment over time, as it is drawn."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.monitor.v1 import experiment_pb2
from headrace_console.pages.experiments import effects

BEGIN = datetime(2026, 11, 29, 8, tzinfo=UTC)
Point = experiment_pb2.GetExperimentHistoryResponse.Point
Result = experiment_pb2.AnalyseExperimentResponse.Result


def point(hours: float, **fields: Any) -> Point:
    made = Point(results=[Result(metric="clicks", variant="new", **fields)] if fields else [])
    made.time.FromDatetime(BEGIN + timedelta(hours=hours))
    return made


def test_each_metric_of_each_variant_has_its_band_and_what_is_not_known_yet_is_a_gap():
    points = [
        point(0),
        point(1, relative=0.2, relative_low=-0.5, relative_high=0.9),
        point(2, relative=0.1, relative_low=0.05, relative_high=0.15),
    ]
    ((metric, variant, picture),) = effects(points)
    assert (metric, variant) == ("clicks", "new")
    drawn = str(picture)
    told = re.findall(r"<title>new .{11}([\d:]+) UTC: ([\d.]+) %</title>", drawn)
    assert told == [("09:00:00", "20"), ("10:00:00", "10")]
    assert drawn.count('class="band') == 1
    assert 'class="rule"' in drawn, "no effect"


def test_an_experiment_of_weeks_is_marked_by_days():
    points = [point(24 * day, relative=0.1, relative_low=0.0, relative_high=0.2) for day in range(9)]
    assert ">11-29<title>" in str(effects(points)[0][2])


def test_before_the_first_answer_there_is_nothing_to_draw():
    assert effects([]) == []
