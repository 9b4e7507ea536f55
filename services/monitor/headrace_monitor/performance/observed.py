"""What alert rules are told of an hour: measures that enough is known of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from headrace_statistics.maturity import Maturity, is_mature
from headrace_statistics.severity import Severity

from headrace_monitor.alerts.observations import Observation
from headrace_monitor.performance import blaming
from headrace_monitor.performance.measures import Measure
from headrace_monitor.performance.store import Hour, Touched
from headrace_monitor.performance.summaries import Summary

_HOUR = timedelta(hours=1)
# Known as soon as the hour is over; every other measure is made of what is told later.
_AT_ONCE = frozenset(("prediction_mean", "prediction_std", "estimated_accuracy", "estimated_auc"))
_SIGNALS = frozenset(
    (
        *("accuracy", "auc", "log_loss", "calibration_error", "mae", "rmse", "bias", "reward_mean", "conversion_rate"),
        *_AT_ONCE,
    )
)
# Labels of an hour that is that old are as many as they will be: they show what share to expect.
_OLD = timedelta(hours=24)


def observations_of(
    touched: Touched,
    version: str,
    summary: Summary,
    said: Sequence[Measure],
    past: Sequence[Hour],
    now_hours: Sequence[Hour],
    now: datetime,
) -> list[Observation]:
    """Return what to tell of a version's hour. past: its hours before; now_hours: those just looked at."""
    counts = blaming.added(hour.slices for hour in now_hours if hour.version == version)
    found = []
    for measure in said:
        if measure.name not in _SIGNALS or measure.value is None:
            continue
        if measure.name not in _AT_ONCE:
            expected = expected_share(measure.name, past, now)
            # Of the log's rows, not of what they stand for: labels come for those that were sampled.
            if not is_mature(Maturity(summary.labelled.rows, measure.rows, expected)):
                continue
        told = ""
        if measure.name == "accuracy":
            told = blaming.sentence(blaming.worse(blaming.added(hour.slices for hour in past), counts))
        found.append(
            Observation(
                *(touched.model, version, measure.name, touched.hour, touched.hour + _HOUR, measure.value),
                *(Severity.NONE, told, measure.rows),
            )
        )
    return found


def expected_share(name: str, past: Sequence[Hour], now: datetime) -> float:
    """Return the share of predictions that a measure will be made of at last: that of hours which are old enough.

    Where there are none yet, all: what comes first is seldom like the rest.
    """
    shares = []
    for hour in past:
        rows = next((measure.rows for measure in hour.measures if measure.name == name), 0)
        if hour.hour <= now - _OLD and hour.rows > 0:
            shares.append(rows / hour.rows)
    highest = float(np.quantile(shares, 0.9)) if shares else 0.0
    return highest if highest > 0 else 1.0
