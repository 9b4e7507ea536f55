"""Calibrations pool the labels of days, the latest most, and those of hours that have all of theirs first."""

from datetime import UTC, datetime, timedelta

import numpy as np
from headrace_monitor.judge.performance.decisions import pooled_calibration
from headrace_monitor.judge.performance.decisions.hours import HourlyPerformance
from headrace_monitor.judge.performance.decisions.measures import Measure
from headrace_statistics import serialization
from headrace_statistics.calibration import Calibration, calibrate, labelled

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = NOON + 3 * HOUR


def hour(ago: int, rows: int, *, labels: int | None = None, chance: float = 0.5) -> HourlyPerformance:
    rng = np.random.default_rng(ago)
    labels = rows if labels is None else labels
    scores = labelled(rng.random(labels), rng.random(labels) < chance) if labels else None
    told = (Measure("accuracy", 0.5, rows=labels),) if labels else ()
    return HourlyPerformance(NOON - ago * HOUR, "v1", "main", rows, labels, told, {}, rows, scores)


def fitted(hours: list[HourlyPerformance]) -> Calibration:
    found = pooled_calibration.fitted(hours, NOON, NOW)
    assert isinstance(found, Calibration)
    return found


def test_hours_with_few_labels_calibrate_together_and_older_ones_count_for_less():
    assert pooled_calibration.fitted([hour(ago, 200) for ago in (24, 0)], NOON, NOW) is not None
    assert 380 < fitted([hour(24, 200), hour(0, 200)]).rows < 400
    assert fitted([hour(96, 1_000, chance=0.9), hour(0, 1_000, chance=0.1)]).chances([0.5])[0] < 0.35


def test_an_hour_without_labels_changes_no_calibration():
    assert pooled_calibration.fitted([hour(1, 500), hour(0, 500, labels=0)], NOON, NOW) is None


def test_labels_of_an_hour_that_come_first_wait_for_the_rest_where_others_have_theirs():
    complete = [hour(ago, 500, chance=0.2) for ago in range(30, 34)]
    early = hour(0, 500, labels=100, chance=0.9)
    assert fitted([*complete, early]).chances([0.5])[0] < 0.25
    assert fitted([hour(0, 500, labels=400, chance=0.9)]).chances([0.5])[0] > 0.8


def test_labelled_scores_merge_and_come_back_from_text():
    rng = np.random.default_rng(1)
    score, answer = rng.random(1_000), rng.random(1_000) < 0.3
    merged = labelled(score[:300], answer[:300]).merge(labelled(score[300:], answer[300:]))
    whole = serialization.from_json(serialization.to_json(labelled(score, answer)))
    assert np.allclose(merged.yes, whole.yes)
    assert np.allclose(merged.scores, whole.scores)
    assert (merged.rows, merged.weighted(0.5).rows) == (1_000, 1_000)


def test_a_calibration_on_few_rows_is_less_sure():
    rng = np.random.default_rng(2)
    score = rng.random(20_000)
    answer = rng.random(20_000) < score
    few, many = calibrate(score[:300], answer[:300]), calibrate(score, answer)
    assert isinstance(few, Calibration)
    assert isinstance(many, Calibration)
    spread = [float((one.refits @ one.leverage(score, np.ones(score.size))).std()) for one in (few, many)]
    assert 5 < spread[0] / spread[1] < 12
    kept = serialization.from_json(serialization.to_json(few))
    assert np.array_equal(kept.refits, few.refits)
