"""From a report to its page."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headrace_monitor.report import drift_view, performance_view, plots, wording
from headrace_monitor.report.content import AlertRow, Bucket, MissingPart, Report, Traffic
from headrace_monitor.report.plots import Axis, Series

_COLOURS = 8
MOST_ALERTS, MOST_ROWS = 50, 40


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
            drift=[drift_view.of_version(one) for one in _parts(report.drift)],
            performance=performance_view.by_version(_parts(report.performance)),
            intervals=performance_view.intervals(_parts(report.performance)),
            alerts=_alerts(_parts(report.alerts)),
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
        "number": wording.number,
        "explained": wording.explained,
        "compared": wording.compared,
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
        traffic = report.traffic
        requests = traffic.answers + traffic.failures + traffic.refused
        share = traffic.failures / requests if requests else 0.0
        remark = f"{wording.per_hundred(share)} of {requests:,} requests failed" if requests else "no requests"
        tiles.append(("answers", f"{traffic.answers:,}", remark, "bad" if share > 0.01 else ""))
        latest = next((bucket.quantiles for bucket in reversed(traffic.buckets) if bucket.quantiles), None)
        if latest:
            tiles.append(("99 % within", _ms(latest[2]), "of what was computed last", ""))
    if tile := drift_view.tile(_parts(report.drift)):
        tiles.append(tile)
    if tile := performance_view.tile(_parts(report.performance)):
        tiles.append(tile)
    if not isinstance(report.alerts, MissingPart):
        still = sum(alert.resolve_time is None for alert in report.alerts)
        tiles.append(("open alerts", str(still), f"{len(report.alerts)} in this time", "bad" if still else "good"))
    return tiles


def _alerts(alerts: Sequence[AlertRow]) -> list[tuple[AlertRow, int]]:
    """Return one row for each rule and version, the one that matters most, and how often it came before."""
    found: dict[tuple[str, str], list[AlertRow]] = {}
    for alert in alerts:
        found.setdefault((alert.rule, alert.version), []).append(alert)
    return [(each[0], len(each) - 1) for each in found.values()]


def _traffic_plots(report: Report) -> dict[str, Any]:
    """Return the plots of traffic, with their legends."""
    traffic = report.traffic
    if isinstance(traffic, MissingPart) or not traffic.buckets:
        return {}
    buckets = traffic.buckets
    axis = Axis(tuple(_clock(bucket.start, buckets[-1].start - buckets[0].start) for bucket in buckets))
    versions = _stack(buckets, 0)
    sources = _stack(buckets, 1)
    without = [
        Series("refused", "c7", tuple(float(bucket.refused) for bucket in buckets)),
        Series("failed", "bad", tuple(float(bucket.failures) for bucket in buckets)),
    ]
    quantiles = [
        Series(name, style, tuple(bucket.quantiles[at] / 1000 if bucket.quantiles else None for bucket in buckets))
        for at, (name, style) in enumerate((("50 %", "c0"), ("95 %", "c1"), ("99 %", "c3")))
    ]
    drawn = {
        "versions": (plots.stacked("Answers over time, by version", axis, versions), versions),
        "sources": (plots.stacked("Answers over time, by source", axis, sources), sources),
    }
    if traffic.failures or traffic.refused:
        drawn["without"] = (plots.stacked("Requests without an answer over time", axis, without), without)
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


def _parts(part: Any) -> tuple[Any, ...]:
    return () if isinstance(part, MissingPart) else part


def _clock(time: datetime, span: timedelta) -> str:
    return time.astimezone(UTC).strftime("%H:%M" if span <= timedelta(days=2) else "%m-%d")


def _ms(value_us: float) -> str:
    return f"{value_us / 1000:.3g} ms"
