"""Performance of an hour, and the observations that alert rules get of it: measures with enough labels. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from headrace_statistics.calibration import LabelledScores
from headrace_statistics.maturity import Maturity, is_mature
from headrace_statistics.severity import Severity

from headrace_monitor.alert.observations import Observation
from headrace_monitor.judge.performance.decisions import error_slices
from headrace_monitor.judge.performance.decisions.measures import Measure
from headrace_monitor.judge.performance.decisions.summaries import Summary

_HOUR = timedelta(hours=1)
# Known as soon as the hour is over; every other measure needs outcomes, which come later.
_AT_ONCE = frozenset(("prediction_mean", "prediction_std", "estimated_accuracy", "estimated_auc"))
_SIGNALS = frozenset(
    (
        *("accuracy", "auc", "log_loss", "calibration_error", "mae", "rmse", "bias", "reward_mean", "conversion_rate"),
        *_AT_ONCE,
    )
)
# Labels of an hour that is that old are as many as they will be: they show what share to expect.
_OLD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class HourlyPerformance:
    """Performance of one version and variant in one hour. predictions, labelled: rows, weighted by sampling.

    rows: of the log. scores: of the version's labelled rows, with one of its variants; None where there are none.
    """

    hour: datetime
    version: str
    variant: str
    predictions: float
    labelled: float
    measures: tuple[Measure, ...]
    slices: error_slices.Counts
    rows: int
    scores: LabelledScores | None = None


@dataclass(frozen=True, slots=True)
class StaleHour:
    """An hour of a model with new outcomes since its evaluation. touches: their number when the hour was claimed."""

    model: str
    hour: datetime
    touches: int


def observations_of(
    stale: StaleHour,
    version: str,
    summary: Summary,
    said: Sequence[Measure],
    past: Sequence[HourlyPerformance],
    now_hours: Sequence[HourlyPerformance],
    now: datetime,
) -> list[Observation]:
    """Return the observations of a version's hour. past: earlier hours; now_hours: those just evaluated."""
    counts = error_slices.added(hour.slices for hour in now_hours if hour.version == version)
    found = []
    for measure in said:
        if measure.name not in _SIGNALS or measure.value is None:
            continue
        if measure.name not in _AT_ONCE:
            expected = expected_share(measure.name, past, now)
            # Of the log's rows, not of what they stand for: labels come for those that were sampled.
            if not is_mature(Maturity(summary.labelled.rows, measure.rows, expected)):
                continue
        text = ""
        if measure.name == "accuracy":
            text = error_slices.sentence(error_slices.worse(error_slices.added(hour.slices for hour in past), counts))
        found.append(
            Observation(
                *(stale.model, version, measure.name, stale.hour, stale.hour + _HOUR, measure.value),
                *(Severity.NONE, text, measure.rows),
            )
        )
    return found


def expected_share(name: str, past: Sequence[HourlyPerformance], now: datetime) -> float:
    """Return the share of predictions that will have labels in the end: the share in hours that are old enough.

    Without such hours, expect all: the first labels seldom represent the rest.
    """
    shares = []
    for hour in past:
        rows = next((measure.rows for measure in hour.measures if measure.name == name), 0)
        if hour.hour <= now - _OLD and hour.rows > 0:
            shares.append(rows / hour.rows)
    highest = float(np.quantile(shares, 0.9)) if shares else 0.0
    return highest if highest > 0 else 1.0
