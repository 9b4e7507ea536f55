"""What the page shows of drift: each column once, however many tests found something in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace_statistics.severity import Severity
from markupsafe import Markup

from headrace_monitor.judge.drift.decisions.histograms import Histogram
from headrace_monitor.report import plots, wording
from headrace_monitor.report.content import ColumnDrift, EvaluationRow, VersionDrift
from headrace_monitor.report.plots import Axis, Series

MOST_COLUMNS, MOST_EVALUATIONS = 30, 48
# The bar begins at a tenth of the tolerance and ends at a hundred times as much, in equal steps for equal factors: 0.3
# and 3 of the same tolerance are as far apart as 3 and 30.
_LEAST, _MOST = 0.1, 100.0


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column that was compared. worst: the test that found most; others: what else found something.

    filled: how much of its bar, in percent. times: its effect in tolerances, in words.
    """

    worst: ColumnDrift
    others: tuple[ColumnDrift, ...]
    examples: tuple[str, ...]
    filled: float
    times: str


@dataclass(frozen=True, slots=True)
class DriftView:
    """evaluation: the latest, None without any, and `missing` says why. changed: columns with an alarm."""

    version: str
    missing: str
    evaluation: EvaluationRow | None = None
    changed: int = 0
    compared: int = 0
    columns: tuple[ColumnView, ...] = ()
    more: int = 0
    inconclusive: tuple[ColumnDrift, ...] = ()
    evaluations: tuple[EvaluationRow, ...] = ()
    histograms: tuple[tuple[Histogram, Markup], ...] = ()


def tile(drifts: Sequence[VersionDrift]) -> tuple[str, str, str, str] | None:
    """Return what is said at the top, of the version that changed most."""
    latest = [(one.version, one.evaluations[0]) for one in drifts if one.evaluations]
    if not latest:
        return None
    version, worst = max(latest, key=lambda each: each[1].severity)
    changed = len({column.column for column in worst.columns if column.alarm})
    remark = f"{changed} of its columns changed, version {version}" if changed else "nothing changed when last compared"
    return "drift", worst.severity.name.lower(), remark, "bad" if worst.severity >= Severity.MEDIUM else "good"


def of_version(one: VersionDrift) -> DriftView:
    """Return what is shown of a version: the latest evaluation, those before it, and histograms."""
    if not one.evaluations:
        return DriftView(one.version, one.missing)
    latest = one.evaluations[0]
    columns = _by_column(latest.columns)
    return DriftView(
        one.version,
        "",
        latest,
        sum(column.worst.alarm for column in columns),
        len({column.column for column in latest.columns}),
        tuple(columns[:MOST_COLUMNS]),
        max(len(columns) - MOST_COLUMNS, 0),
        tuple([column for column in latest.columns if column.inconclusive][:MOST_COLUMNS]),
        tuple(reversed(one.evaluations[:MOST_EVALUATIONS])),
        tuple((each, _histogram(each)) for each in one.histograms),
    )


def filled(ratio: float) -> float:
    """Return how much of a bar an effect of so many tolerances fills, in percent.

    >>> [round(filled(ratio)) for ratio in (0, 0.1, 1, 3, 30, 100, 1000)]
    [0, 0, 33, 49, 83, 100, 100]
    """
    held = min(max(ratio, _LEAST), _MOST)
    return 100 * math.log(held / _LEAST) / math.log(_MOST / _LEAST)


def _by_column(tests: Sequence[ColumnDrift]) -> list[ColumnView]:
    """Return the columns with a conclusive test, those that changed most first."""
    found: dict[str, list[ColumnDrift]] = {}
    for test in sorted(tests, key=lambda test: (-test.alarm, -test.severity, -_ratio(test), test.column)):
        if not test.inconclusive:
            found.setdefault(test.column, []).append(test)
    return [
        ColumnView(
            each[0],
            tuple(test for test in each[1:] if test.alarm),
            tuple(dict.fromkeys(example for test in each for example in test.examples)),
            filled(_ratio(each[0])),
            wording.times_tolerance(_ratio(each[0])),
        )
        for each in found.values()
    ]


def _ratio(column: ColumnDrift) -> float:
    """Return the effect in tolerances; the most that is shown where any effect is an alarm."""
    if column.effect is None or not column.tolerance:
        return _MOST if column.alarm else 0.0
    return max(column.effect / column.tolerance, 0.0) if math.isfinite(column.effect) else _MOST


def _histogram(each: Histogram) -> Markup:
    axis = Axis(each.labels, " %")
    first = Series("reference", "before", tuple(share * 100 for share in each.reference))
    second = Series("window", "now", tuple(share * 100 for share in each.window))
    return plots.paired(f"Shares of {each.column}: reference and now", axis, first, second)
