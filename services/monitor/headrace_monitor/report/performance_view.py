"""What the page shows of performance: a measure of several versions once, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace_monitor.report import wording
from headrace_monitor.report.content import Measure, VersionPerformance

# Of a model's measures, the one that says most in a word: the first that it has.
_HEADLINES = ("accuracy", "auc", "rmse", "mae", "conversion_rate", "reward_mean", "estimated_accuracy")


def tile(performance: Sequence[VersionPerformance]) -> tuple[str, str, str, str] | None:
    """Return what is said at the top, of the version that answered most."""
    for one in sorted(performance, key=lambda one: -one.predictions):
        known = {measure.name: measure for measure in one.measures if measure.value is not None}
        name = next((name for name in _HEADLINES if name in known), None)
        if name is not None:
            remark = f"version {one.version}; the outcome of {one.maturity:.0%} is known"
            return name.replace("_", " "), wording.number(known[name].value), remark, ""
    return None


def by_version(performance: Sequence[VersionPerformance]) -> list[dict[str, Any]]:
    """Return each version with the measures that are not compared with those of others."""
    compared = _compared(performance)
    return [
        {
            "performance": one,
            "measures": [
                measure
                for measure in one.measures
                if (measure.value is not None or measure.note)
                and not (measure.name in compared and _has_interval(measure))
            ],
        }
        for one in performance
    ]


def intervals(performance: Sequence[VersionPerformance]) -> list[dict[str, Any]]:
    """Return, by measure that more than one version has an interval of, their intervals on one scale from 0 to 100."""
    return [{"name": name, "rows": _scaled(rows)} for name, rows in _compared(performance).items()]


def _compared(performance: Sequence[VersionPerformance]) -> dict[str, list[tuple[str, Measure]]]:
    by_name: dict[str, list[tuple[str, Measure]]] = {}
    for one in performance:
        for measure in one.measures:
            if _has_interval(measure):
                called = " as ".join(filter(None, (one.version, one.variant)))
                by_name.setdefault(measure.name, []).append((called, measure))
    return {name: rows for name, rows in by_name.items() if len(rows) > 1}


def _has_interval(measure: Measure) -> bool:
    return None not in (measure.value, measure.lower, measure.upper)


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
