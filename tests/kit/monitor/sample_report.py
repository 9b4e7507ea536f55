"""A report with everything in it: four versions of traffic, drift with alarms, labels, alerts; and an empty one."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.report.content import (
    AlertRow,
    Bucket,
    ColumnDrift,
    EvaluationRow,
    Measure,
    MissingPart,
    Report,
    SliceDrift,
    Traffic,
    TrafficRow,
    VersionDrift,
    VersionPerformance,
)
from headrace_statistics.severity import Severity

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HALF_HOUR = timedelta(minutes=30)


def full(odd: str = "country") -> Report:
    """Return a report of a day. odd: what somebody called a column, a category, a variant and a rule."""
    return Report(
        "digits", NOON - DAY, NOON, NOON, traffic(odd), (drift("v2", odd), VersionDrift("v1", (), (), "No reference.")),
        performance(odd), alerts(odd),
    )  # fmt: skip


def empty() -> Report:
    """Return a report about a time in which nothing happened, of which one part could not be asked."""
    return Report("digits", NOON - DAY, NOON, NOON, Traffic((), (), "", 0, 0), (), MissingPart("the store is away"), ())


def traffic(odd: str) -> Traffic:
    buckets = tuple(bucket(at, odd) for at in range(48))
    online = TrafficRow("v2", odd, "online", "OK", 48_210, 1_840, 4_120, 7_900)
    cache = TrafficRow("v2", odd, "cache", "OK", 12_004, 210, 480, 920)
    failed = TrafficRow("v2", odd, "", "UNAVAILABLE", 131, 20_000, 45_000, 50_000)
    refused = TrafficRow("v2", odd, "", "INVALID_ARGUMENT", 2_004, 90, 200, 400)
    old = TrafficRow("v1", "production", "online", "OK", 20_444, 2_010, 4_700, 9_100)
    return Traffic(buckets, (online, old, cache, refused, failed), "v2", 12, 0)


def bucket(at: int, odd: str) -> Bucket:
    wave = 1 + math.sin(at / 48 * 2 * math.pi - 1.2)
    share = min(at / 40, 1)
    counts = {
        ("v1", "online"): int(900 * wave * (1 - share)),
        ("v2", "online"): int(900 * wave * share),
        ("v2", "cache"): int(250 * wave * share),
        ("v1", odd): int(40 * wave),
    }
    quantiles = None if at == 7 else (1800 + 60 * wave, 3900 + 200 * wave, 7000 + 900 * wave * (3 if at == 30 else 1))
    return Bucket(NOON - DAY + at * HALF_HOUR, counts, 90 if at == 30 else 1, quantiles, int(40 * wave))


def drift(version: str, odd: str) -> VersionDrift:
    columns = (
        ColumnDrift(odd, "data", "new_categories", 0.21, 0.02, 1e-12, True, Severity.HIGH, "", (odd, "XK")),
        ColumnDrift("age", "data", "psi", 0.31, 0.1, 3e-9, True, Severity.HIGH, "", ()),
        ColumnDrift("age", "data", "ks", 0.2, 0.1, 3e-9, True, Severity.MEDIUM, "", ()),
        ColumnDrift("income", "data", "psi", 3.1, 0.1, 0.0, True, Severity.HIGH, "", ()),
        ColumnDrift("amount", "data", "ks", 0.08, 0.05, 0.002, True, Severity.LOW, "", ()),
        ColumnDrift("prediction_label", "prediction", "chi_square", 0.04, 0.05, 0.4, False, Severity.NONE, "", ()),
        ColumnDrift("tenure", "data", "ks", 0.01, 0.05, 1.0, False, Severity.NONE, "", ()),
        ColumnDrift("note", "data", "psi", None, 0.1, None, False, Severity.NONE, "too few: 12, at least 50", ()),
    )
    grades = [Severity.HIGH, *[Severity.MEDIUM] * 2, Severity.LOW, Severity.NONE, Severity.LOW, *[Severity.NONE] * 14]
    evaluations = [evaluation(at, grade, columns if at == 0 else (), odd) for at, grade in enumerate(grades)]
    tenths = (*(f"≤ {18 + 7 * at}" for at in range(9)), "> 74", "missing")
    names, before = ("AT", "DE", "CH", odd, "others", "new"), (0.5, 0.3, 0.1, 0.06, 0.04, 0)
    older = (0.02, 0.04, 0.06, 0.09, 0.11, 0.14, 0.16, 0.17, 0.12, 0.08, 0.01)
    histograms = (
        Histogram(odd, names, before, (0.31, 0.22, 0.1, 0.07, 0.09, 0.21)),
        Histogram("age", tenths, (*([0.099] * 10), 0.01), older),
    )
    return VersionDrift(version, tuple(evaluations), histograms)


def evaluation(at: int, severity: Severity, columns: tuple[ColumnDrift, ...], odd: str) -> EvaluationRow:
    end = NOON - at * timedelta(hours=1)
    slices = (SliceDrift(f"{odd}=XK", 412, 0.9, 0.71), SliceDrift("app=ios-9", 350, 0.4, -263.293)) if columns else ()
    return EvaluationRow(
        end - timedelta(hours=1), end, 5_120, "its artifact reference.parquet", severity, columns, slices
    )


def performance(odd: str) -> tuple[VersionPerformance, ...]:
    def measures(shift: float) -> tuple[Measure, ...]:
        return (
            Measure("accuracy", 0.931 + shift, 0.921 + shift, 0.940 + shift, 3_400, ""),
            Measure(
                "log_loss",
                0.212 - shift,
                0.198 - shift,
                0.227 - shift,
                3_397,
                "without rows: 3 whose label is no class",
            ),
            Measure("calibration_error", 0.018, 0.011, 0.026, 3_400, ""),
            Measure("auc", None, None, None, 0, "one class: 3,400 positives, 0 negatives"),
            Measure("prediction_mean", 0.41, None, None, 60_214, ""),
        )

    return (
        VersionPerformance("v1", "production", 20_444, 3_400, 0.166, measures(0.0)),
        VersionPerformance(
            *("v2", odd, 60_214, 3_311, 0.055, measures(0.021)),
            slices=(SliceDrift(f"{odd}=DE", 90, 0.2, 0.6),),
            watch=f"the error rate of {odd} has risen to about 14.0%",
            severity=Severity.HIGH,
        ),
        VersionPerformance("v3", "", 40, 0, 0.0, ()),
    )


def alerts(odd: str) -> tuple[AlertRow, ...]:
    hour = timedelta(hours=1)
    new = f"drift of {odd}: new categories, effect 0.21 against 0.02, worst at {odd}=XK"
    slow = "latency_p99_us 12,300 is above 10,000 for 5 minutes"
    return (
        AlertRow("drift", "v2", Severity.HIGH, new, NOON - hour, None, silenced=False),
        AlertRow("drift", "v2", Severity.HIGH, new, NOON - 5 * hour, NOON - 4 * hour, silenced=False),
        AlertRow(odd, "v2", Severity.MEDIUM, slow, NOON - 9 * hour, NOON - 8 * hour, silenced=True),
    )
