"""An explanation as people read it: who decided what, and a small timeline. Pure: values in, lines out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import grpc

from headrace_client.cli.output import shown
from headrace_client.operations.explanations import Attempt, Explanation

WIDTH = 36
QUEUE, COMPUTE, OTHER, ROUTE = "░", "█", "─", "▒"
LEGEND = f"{ROUTE} deciding   {OTHER} on the way   {QUEUE} queue   {COMPUTE} computing"

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class Bar(NamedTuple):
    """A line of the timeline. bar: as wide as WIDTH."""

    name: str
    bar: str
    took: str
    what: str


def heading(explanation: Explanation) -> str:
    """Return what became of the request, in a line."""
    took = duration(explanation.total)
    if explanation.served_from is None:
        reason = f" [{explanation.reason}]" if explanation.reason else ""
        code = _CODES.get(explanation.code, explanation.code)
        return f"{explanation.model or 'a model without a name'}: {code}{reason} after {took}"
    degraded = (
        f", degraded: {explanation.degraded_reason or explanation.fallback_step}"
        if explanation.fallback_step or explanation.degraded_reason
        else ""
    )
    return f"{explanation.model}: answered from {explanation.served_from} in {took}{degraded}"


def facts(explanation: Explanation) -> list[tuple[str, str]]:
    """Return names and values, as markup; the printing code leaves out empty values."""
    received = f"{explanation.received:%Y-%m-%d %H:%M:%S}.{explanation.received.microsecond // 1000:03}Z"
    return [
        ("prediction", shown(explanation.prediction_id)),
        ("request", shown(explanation.request_id)),
        ("asked", shown(f"{received} by {explanation.client}")),
        ("data plane", shown(explanation.data_plane)),
        ("decided", shown(_decided(explanation))),
        ("answered", shown(_answered(explanation))),
        ("published", shown(_published(explanation))),
        ("look-up", shown(_looked_up(explanation))),
        (
            "degraded",
            shown(
                f"by {explanation.fallback_step or 'itself'}: {explanation.degraded_reason}"
                if explanation.degraded_reason
                else ""
            ),
        ),
        ("without", shown(", ".join(explanation.message.missing_steps))),
    ]


def bars(explanation: Explanation) -> list[Bar]:
    """Return the timeline: deciding, then everything that was tried, each where and as long as it was."""
    total = max(explanation.total, timedelta(microseconds=1))
    lines = [Bar("deciding", _bar([(explanation.route, ROUTE)], timedelta(), total), duration(explanation.route), "")]
    for attempt in explanation.attempts:
        parts = [
            (attempt.queue, QUEUE),
            (attempt.compute, COMPUTE),
            (max(timedelta(), attempt.took - attempt.queue - attempt.compute), OTHER),
        ]
        bar = _bar(parts, attempt.begin, total)
        name = attempt.pipeline_step or attempt.step
        name = f"{name} (hedge)" if attempt.hedge else name
        lines.append(Bar(name, bar, duration(attempt.took), _what(attempt)))
    return lines


def duration(value: timedelta) -> str:
    """Return a duration in milliseconds, or seconds where those are many."""
    milliseconds = value / timedelta(milliseconds=1)
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 10_000 else f"{milliseconds:.2f} ms"


def _decided(explanation: Explanation) -> str:
    if not explanation.generation:
        return ""
    by = f"generation {explanation.generation} of the route"
    if not explanation.variant_version:
        return by
    if not explanation.variant:
        return f"version {explanation.variant_version}, which the caller named; {by}"
    bucket = f"bucket {explanation.bucket}" if explanation.bucket is not None else "the only one"
    why = f"rule {explanation.rule}" if explanation.rule else bucket
    return f"variant {explanation.variant} ({why}) → {explanation.variant_version}; {by}"


def _answered(explanation: Explanation) -> str:
    if explanation.served_from is None:
        return ""
    age = f", {_age(explanation.age)} old" if explanation.age else ""
    if not explanation.version:
        return f"values that the route gives{age}"
    return f"version {explanation.version}{age}, digest {explanation.digest[:16]}"


def _published(explanation: Explanation) -> str:
    origin = explanation.message.origin
    by = f" by {origin.run}" if origin.run else ""
    manifest = f", manifest {origin.manifest_digest[:16]}" if origin.manifest_digest else ""
    return f"{explanation.message.publish}{by}{manifest}" if explanation.message.publish else ""


def _looked_up(explanation: Explanation) -> str:
    shared = "computed for another request with the same key" if explanation.shared_execution else ""
    return "; ".join(part for part in (explanation.lookup_outcome, shared) if part)


def _what(attempt: Attempt) -> str:
    return ", ".join(_of_attempt(attempt))


def _of_attempt(attempt: Attempt) -> Iterator[str]:
    if attempt.takes_from:
        yield f"after {', '.join(attempt.takes_from)}"
    if attempt.version:
        yield attempt.version
    if attempt.batcher:
        yield f"{attempt.batcher} of pool {attempt.pool}"
    elif attempt.pool:
        yield f"pool {attempt.pool}"
    if attempt.compute:
        where = f" ({attempt.compute_way})" if attempt.compute_way else ""
        yield f"queue {duration(attempt.queue)}, compute {duration(attempt.compute)}{where}"
    if attempt.batch_rows:
        rows = f"{attempt.batch_rows} row{'s' if attempt.batch_rows > 1 else ''}"
        others = f"{attempt.batch_mates} other request{'s' if attempt.batch_mates > 1 else ''}"
        yield f"{rows} with {others}" if attempt.batch_mates else f"{rows}, alone"
    if attempt.reason:
        yield attempt.reason


def _bar(parts: list[tuple[timedelta, str]], begin: timedelta, total: timedelta) -> str:
    """Return the parts one after the other from `begin`, in proportion; whatever took any time has a column."""
    at, drawn = begin, " " * round(begin / total * WIDTH)
    drawn = drawn[: WIDTH - 1]
    for length, mark in parts:
        at += length
        columns = round(at / total * WIDTH) - len(drawn)
        drawn += mark * max(columns, 1 if length else 0)
    if not drawn.strip():
        drawn += "·"
    return drawn[:WIDTH].ljust(WIDTH)


def _age(value: timedelta) -> str:
    seconds = value.total_seconds()
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
