"""What the alert rules are told of one minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from headrace_servicekit.errors import Code
from headrace_statistics.severity import Severity

from headrace_monitor.alerts.observations import EVERY_MODEL, Observation
from headrace_monitor.counters.differences import minute_of
from headrace_monitor.counters.tallies import Tally, total
from headrace_monitor.counters.traffic import FAULTS, quantile_us
from headrace_monitor.times import MINUTE, Span

# From the end of a minute until it is told: reports that arrived within it are committed by then. One that is slower
# still counts in its minute, and is not told.
SETTLE = timedelta(seconds=10)
# Of what is longer ago nobody is told: all monitors were away. A clock that was further ahead is not waited for.
LOOK_BACK = timedelta(hours=1)


def due(until: datetime, now: datetime) -> Sequence[Span]:
    """Return the minutes to tell, in their order. until: the end of the last one that was told."""
    end = minute_of(now - SETTLE)
    start = until if abs(end - until) <= LOOK_BACK else end - (LOOK_BACK if until < end else MINUTE)
    return [Span(start + n * MINUTE, start + (n + 1) * MINUTE) for n in range((end - start) // MINUTE)]


class Answers(NamedTuple):
    """Whose answers: of one version with one code."""

    model: str
    version: str
    code: int


def signals_of(answers: Mapping[Answers, Tally], span: Span) -> list[Observation]:
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
    """Return how much is missing in the log; said also when nothing is."""
    return [
        _observation(EVERY_MODEL, "", "dropped_predictions", span, dropped_predictions, "", None),
        _observation(EVERY_MODEL, "", "lost_batches", span, lost_batches, "", None),
    ]


def _error_rate(model: str, version: str, by_code: Mapping[int, Tally], span: Span) -> Observation:
    count = total(by_code.values()).count
    faults = {code: tally.count for code, tally in by_code.items() if code in FAULTS}
    failed = sum(faults.values())
    told = f"{failed} of {count} answers failed"
    if faults:
        worst = max(faults, key=lambda code: faults[code])
        told += f", {faults[worst]} of them with {Code(worst).name}"
    return _observation(model, version, "error_rate", span, failed / count, told, count)


def _latency(model: str, version: str, answered: Tally, span: Span) -> Observation:
    p99_us, count = quantile_us(answered.durations, 0.99), answered.count
    told = f"p99 of {count} answers is {p99_us / 1000:.3g} ms"
    return _observation(model, version, "latency_p99_us", span, p99_us, told, count)


def _observation(
    model: str, version: str, signal: str, span: Span, value: float, told: str, rows: int | None
) -> Observation:
    return Observation(model, version, signal, span.start, span.end, value, Severity.NONE, told, rows)
