"""Observations of one minute for alert rules: error rate, latency, and what is missing in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from headrace_servicekit.errors import Code
from headrace_servicekit.times import MINUTE, Span
from headrace_statistics.severity import Severity

from headrace_monitor.alert.observations import EVERY_MODEL, Observation
from headrace_monitor.record.counters.decisions.differences import minute_of
from headrace_monitor.record.counters.decisions.tallies import Tally, total
from headrace_monitor.record.counters.decisions.traffic import FAULTS, quantile_us

# Wait after the end of a minute: reports that arrived within it are committed by then. A slower one still counts in its
# minute, but not in its observation.
SETTLE = timedelta(seconds=10)
# Older minutes are skipped: all monitors were away. A clock that was further ahead is not waited for.
LOOK_BACK = timedelta(hours=1)


def due(until: datetime, now: datetime) -> Sequence[Span]:
    """Return the minutes to observe, in order. until: end of the last observed one."""
    end = minute_of(now - SETTLE)
    start = until if abs(end - until) <= LOOK_BACK else end - (LOOK_BACK if until < end else MINUTE)
    return [Span(start + n * MINUTE, start + (n + 1) * MINUTE) for n in range((end - start) // MINUTE)]


class AnswerKey(NamedTuple):
    """Answers of one version with one code."""

    model: str
    version: str
    code: int


def signals_of(answers: Mapping[AnswerKey, Tally], span: Span) -> list[Observation]:
    """Return error rate and p99 of each version that answered; of requests that named no model there are none."""
    by_version: dict[tuple[str, str], dict[int, Tally]] = {}
    for key, tally in answers.items():
        if key.model and tally.count:
            by_version.setdefault((key.model, key.version), {})[key.code] = tally
    found = []
    for (model, version), by_code in sorted(by_version.items()):
        found.append(_error_rate(model, version, by_code, span))
        if Code.OK in by_code:
            found.append(_latency(model, version, by_code[Code.OK], span))
    return found


def losses_of(dropped_predictions: int, lost_batches: int, span: Span) -> list[Observation]:
    """Return how much is missing in the log, also when nothing is."""
    return [
        _observation(EVERY_MODEL, "", "dropped_predictions", span, dropped_predictions, "", None),
        _observation(EVERY_MODEL, "", "lost_batches", span, lost_batches, "", None),
    ]


def _error_rate(model: str, version: str, by_code: Mapping[int, Tally], span: Span) -> Observation:
    count = total(by_code.values()).count
    faults = {code: tally.count for code, tally in by_code.items() if code in FAULTS}
    failed = sum(faults.values())
    summary = f"{failed} of {count} answers failed"
    if faults:
        worst = max(faults, key=lambda code: faults[code])
        summary += f", {faults[worst]} of them with {Code(worst).name}"
    return _observation(model, version, "error_rate", span, failed / count, summary, count)


def _latency(model: str, version: str, answered: Tally, span: Span) -> Observation:
    p99_us, count = quantile_us(answered.durations, 0.99), answered.count
    summary = f"p99 of {count} answers is {p99_us / 1000:.3g} ms"
    return _observation(model, version, "latency_p99_us", span, p99_us, summary, count)


def _observation(
    model: str, version: str, signal: str, span: Span, value: float, summary: str, rows: int | None
) -> Observation:
    return Observation(model, version, signal, span.start, span.end, value, Severity.NONE, summary, rows)
