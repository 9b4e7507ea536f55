"""From a report to its page."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from headrace_statistics.severity import Severity
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headrace_monitor.report import plots
from headrace_monitor.report.content import (
    Bucket,
    ColumnDrift,
    Measure,
    MissingPart,
    Report,
    Traffic,
    VersionDrift,
    VersionPerformance,
)
from headrace_monitor.report.plots import Axis, Series

_COLOURS = 8
MOST_COLUMNS, MOST_ALERTS, MOST_EVALUATIONS, MOST_ROWS = 30, 50, 48, 40
# Of a model's measures, the one that says most in a word: the first that it has.
_HEADLINES = ("accuracy", "auc", "rmse", "mae", "conversion_rate", "reward_mean", "estimated_accuracy")


def render(report: Report) -> str:
    """Return the page, in HTML."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            style=Markup(resources.files("headrace_monitor.report").joinpath("templates/page.css").read_text("utf-8")),
            answered=lambda part: not isinstance(part, MissingPart),
            tiles=_tiles(report),
            traffic=_traffic_plots(report),
            drift=[_drift(one) for one in _parts(report.drift)],
            performance=[_performance(one) for one in _parts(report.performance)],
            intervals=_intervals(_parts(report.performance)),
            most_alerts=MOST_ALERTS,
            most_rows=MOST_ROWS,
        )
    )


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("headrace_monitor.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters |= {
        "count": lambda value: f"{value:,}",
        "number": _number,
        "percent": lambda value: f"{value:.1%}",
        "ms": _ms,
        "when": lambda time: time.astimezone(UTC).strftime("%Y-%m-%d %H:%M"),
        "severity": lambda severity: severity.name.lower(),
    }
    return made


def _tiles(report: Report) -> list[tuple[str, str, str, str]]:
    """Return what is said at the top: a name, a value, a remark, and how it is (a class)."""
    tiles = []
    if isinstance(report.traffic, Traffic):
        answers, failures = report.traffic.answers, report.traffic.failures
        share = failures / answers if answers else 0.0
        tiles.append(("answers", f"{answers:,}", f"{share:.2%} failed", "bad" if share > 0.01 else ""))
        latest = next((bucket.quantiles for bucket in reversed(report.traffic.buckets) if bucket.quantiles), None)
        if latest:
            tiles.append(("latency", _ms(latest[2]), "99 % are faster, at the end", ""))
    evaluations = [one.evaluations[0] for one in _parts(report.drift) if one.evaluations]
    if evaluations:
        worst = max(evaluations, key=lambda evaluation: evaluation.severity)
        how = "bad" if worst.severity >= Severity.MEDIUM else "good"
        tiles.append(("drift", worst.severity.name.lower(), f"{worst.alarms} alarms in the latest evaluation", how))
    if headline := _headline(_parts(report.performance)):
        tiles.append(headline)
    if not isinstance(report.alerts, MissingPart):
        still = sum(alert.resolve_time is None for alert in report.alerts)
        tiles.append(("open alerts", str(still), f"{len(report.alerts)} in this time", "bad" if still else "good"))
    return tiles


def _headline(performance: Sequence[VersionPerformance]) -> tuple[str, str, str, str] | None:
    for one in sorted(performance, key=lambda one: -one.predictions):
        known = {measure.name: measure for measure in one.measures if measure.value is not None}
        name = next((name for name in _HEADLINES if name in known), None)
        if name is not None:
            remark = f"version {one.version}, {one.maturity:.0%} labelled"
            return (name.replace("_", " "), _number(known[name].value), remark, "")
    return None


def _traffic_plots(report: Report) -> dict[str, Any]:
    """Return the plots of traffic, with their legends."""
    traffic = report.traffic
    if isinstance(traffic, MissingPart) or not traffic.answers:
        return {}
    buckets = traffic.buckets
    axis = Axis(tuple(_clock(bucket.start, report.end - report.start) for bucket in buckets))
    versions = _stack(buckets, 0)
    sources = [*_stack(buckets, 1), Series("failed", "bad", tuple(float(bucket.failures) for bucket in buckets))]
    quantiles = [
        Series(name, style, tuple(bucket.quantiles[at] / 1000 if bucket.quantiles else None for bucket in buckets))
        for at, (name, style) in enumerate((("50 %", "c0"), ("95 %", "c1"), ("99 %", "c3")))
    ]
    drawn = {
        "versions": (plots.stacked("Answers over time, by version", axis, versions), versions),
        "sources": (plots.stacked("Answers over time, by source", axis, sources), sources),
    }
    if any(bucket.quantiles for bucket in buckets):
        timed = Axis(axis.labels, " ms")
        drawn["latency"] = (plots.lines("Latency over time", timed, quantiles), quantiles)
    return {**drawn, "axis": axis}


def _stack(buckets: Sequence[Bucket], part: int) -> list[Series]:
    """Return a series for each version (part 0) or source (part 1), in the order of their names.

    As many as there are colours: those that answered least share the last one.
    """
    totals = Counter[str]()
    for bucket in buckets:
        for key, count in bucket.counts.items():
            totals[key[part]] += count
    most = {name for name, _ in totals.most_common(_COLOURS if len(totals) <= _COLOURS else _COLOURS - 1)}
    rest = set(totals) - most
    groups = [(name or "none", {name}) for name in sorted(most)] + ([(f"{len(rest)} others", rest)] if rest else [])
    return [
        Series(
            shown,
            f"c{at}",
            tuple(
                float(sum(count for key, count in bucket.counts.items() if key[part] in names)) for bucket in buckets
            ),
        )
        for at, (shown, names) in enumerate(groups)
    ]


def _drift(one: VersionDrift) -> dict[str, Any]:
    """Return what is shown of a version's drift: the latest evaluation, those before it, and histograms."""
    if not one.evaluations:
        return {"version": one.version, "missing": one.missing, "evaluation": None}
    latest = one.evaluations[0]
    columns = sorted(
        latest.columns, key=lambda column: (-column.alarm, -column.severity, -_ratio(column), column.column)
    )
    conclusive = [column for column in columns if not column.inconclusive]
    return {
        "version": one.version,
        "evaluation": latest,
        "columns": [(column, min(_ratio(column), 4.0) * 25) for column in conclusive[:MOST_COLUMNS]],
        "more": max(len(conclusive) - MOST_COLUMNS, 0),
        "inconclusive": [column for column in columns if column.inconclusive][:MOST_COLUMNS],
        "evaluations": list(reversed(one.evaluations[:MOST_EVALUATIONS])),
        "histograms": [(each, _histogram(each)) for each in one.histograms],
    }


def _histogram(each: Any) -> Markup:
    axis = Axis(each.labels, " %")
    first = Series("reference", "before", tuple(share * 100 for share in each.reference))
    second = Series("window", "now", tuple(share * 100 for share in each.window))
    return plots.paired(f"Shares of {each.column}: reference and window", axis, first, second)


def _ratio(column: ColumnDrift) -> float:
    """Return the effect in tolerances."""
    if column.effect is None or not column.tolerance:
        return 4.0 if column.alarm else 0.0
    return max(column.effect / column.tolerance, 0.0)


def _performance(one: VersionPerformance) -> dict[str, Any]:
    return {
        "performance": one,
        "measures": [measure for measure in one.measures if measure.value is not None or measure.note],
    }


def _intervals(performance: Sequence[VersionPerformance]) -> list[dict[str, Any]]:
    """Return, by measure that more than one version has an interval of, their intervals on one scale from 0 to 100."""
    by_name: dict[str, list[tuple[str, Measure]]] = {}
    for one in performance:
        for measure in one.measures:
            if None not in (measure.value, measure.lower, measure.upper):
                by_name.setdefault(measure.name, []).append(
                    (" ".join(filter(None, (one.version, one.variant))), measure)
                )
    return [{"name": name, "rows": _scaled(rows)} for name, rows in by_name.items() if len(rows) > 1]


def _scaled(rows: Sequence[tuple[str, Measure]]) -> list[dict[str, Any]]:
    low = min(measure.lower or 0.0 for _, measure in rows)
    high = max(measure.upper or 0.0 for _, measure in rows)
    size = (high - low) or 1.0

    def place(value: float | None) -> float:
        return round(4 + 92 * ((value or 0.0) - low) / size, 2)

    return [
        {"version": version, "measure": measure, "at": place(measure.value), "low": place(measure.lower)}
        | {"width": round(place(measure.upper) - place(measure.lower), 2)}
        for version, measure in rows
    ]


def _parts(part: Any) -> tuple[Any, ...]:
    return () if isinstance(part, MissingPart) else part


def _clock(time: datetime, span: timedelta) -> str:
    return time.astimezone(UTC).strftime("%H:%M" if span <= timedelta(days=2) else "%m-%d")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _ms(value_us: float) -> str:
    return f"{value_us / 1000:.3g} ms"
