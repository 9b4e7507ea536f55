"""The bars: what each row must reach, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.measures.figures import Figures


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar of one row: what it says, what was reached, and whether that is enough."""

    row: str
    bar: str
    reached: str
    enough: bool


class _Bar(NamedTuple):
    """needs: rows without which it cannot be judged. judge: what was reached, and whether it is enough."""

    row: str
    bar: str
    needs: tuple[str, ...]
    judge: Callable[[Mapping[str, Figures]], tuple[str, bool]]


def verdicts(medians: Mapping[str, Figures]) -> list[Verdict]:
    """Judge every bar whose rows were measured."""
    return [
        Verdict(bar.row, bar.bar, *bar.judge(medians))
        for bar in BARS
        if all(name in medians for name in (bar.row, *bar.needs))
    ]


def _at_least(row: str, per_s: float) -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        return f"{seen[row].requests_per_s:,.0f}", seen[row].requests_per_s >= per_s

    return _Bar(row, f"≥ {per_s:,.0f} requests/s", (), judge)


def _times(row: str, factor: float, other: str, called: str) -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        ratio = seen[row].requests_per_s / seen[other].requests_per_s
        return f"{ratio:.2f}", ratio >= factor

    return _Bar(row, f"≥ {factor:g} × {called}", (other,), judge)


def _latency(row: str, share: str, most_ms: float, sign: str = "≤") -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        found = seen[row].p50_ms if share == "p50" else seen[row].p99_ms
        return f"{found:.1f} ms", found <= most_ms

    return _Bar(row, f"{share} {sign} {most_ms:g} ms", (), judge)


def _no_errors(row: str, bar: str = "0 errors") -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        errors = seen[row].errors
        refused = f", {seen[row].refused:,} refused" if seen[row].refused else ""
        return f"{errors:,}{refused}", errors == 0

    return _Bar(row, bar, (), judge)


def _p50_times(row: str, factor: float, other: str, called: str) -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        ratio = seen[row].p50_ms / seen[other].p50_ms
        return f"{ratio:.2f} ({seen[row].p50_ms:.2f} ms, {seen[other].p50_ms:.2f} ms)", ratio <= factor

    return _Bar(row, f"p50 ≤ {factor:g} × {called}", (other,), judge)


def _cost_times(row: str, factor: float, other: str, called: str) -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        ratio = seen[row].cost_us / seen[other].cost_us
        return f"{ratio:.2f} ({seen[row].cost_us:.0f} µs, {seen[other].cost_us:.0f} µs)", ratio <= factor

    return _Bar(row, f"CPU per request ≤ {factor:g} × {called}", (other,), judge)


def _process_times(row: str, process: str, factor: float, other: str, called: str) -> _Bar:
    def judge(seen: Mapping[str, Figures]) -> tuple[str, bool]:
        own, others = seen[row].cpu_us[process], seen[other].cpu_us[process]
        return f"{own / others:.2f} ({own:.0f} µs, {others:.0f} µs)", own <= factor * others

    return _Bar(row, f"CPU of {process} ≤ {factor:g} × {called}", (other,), judge)


BARS = (
    _at_least("mixed", 10_000),
    _latency("mixed", "p99", 100, "<"),
    _times("mixed", 2, "floor", "conventional floor"),
    _times("mixed", 1.25, "gateway", "gateway + Triton"),
    _no_errors("mixed"),
    _process_times("mixed", "front-door: Envoy", 1.05, "unreported", "without accounting and logging"),
    _times("cached", 1.75, "gateway", "gateway + Triton"),
    _times("online", 0.75, "gateway", "gateway + Triton"),
    _latency("open", "p50", 5),
    _latency("open", "p99", 25),
    _no_errors("open"),
    _times("oip", 0.9, "mixed", "Predict"),
    _at_least("json", 4000),
    _times("json", 0.6, "mixed", "Predict"),
    _times("service", 0.55, "mixed", "the in-Envoy host"),
    _cost_times("routes-100", 1.1, "routes-1", "that with one route"),
    _cost_times("routes-1000", 1.1, "routes-1", "that with one route"),
    _p50_times("one", 1.5, "one-triton", "Triton's"),
    _times("in-flight-40", 0.75, "in-flight-64", "64 in flight"),
    _times("in-flight-64", 0.8, "mixed", "256 in flight"),
    _times("in-flight-2048", 0.9, "mixed", "256 in flight"),
    _no_errors("in-flight-2048", "every answer right, or refused with RetryInfo"),
)
