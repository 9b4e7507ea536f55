"""Headrace beside the systems of its field, as people read it: in a terminal, and in docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measures.figures import Figures
from benchmarks.measures.scenarios import HEADRACE, ONLINE, Scenario


@dataclass(frozen=True, slots=True)
class Entry:
    """One system: its rows, its configuration and versions, and why it was not measured; empty if it was."""

    title: str
    rows: Sequence[Scenario]
    how: str
    versions: str
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table. ratio: answers a second by those of Headrace, all online, under the same load."""

    title: str
    seen: Figures
    ratio: float | None

    def cells(self) -> tuple[str, ...]:
        """Return its text after the title."""
        seen = self.seen
        wrong = {word: count for word, count in seen.outcomes.items() if word != "OK"}
        return (
            f"{seen.requests_per_s:,.0f}",
            "–" if self.ratio is None else f"{self.ratio:.2f}",
            _number(seen.p50_ms, 2),
            _number(seen.p99_ms, 2),
            _number(seen.served_us if seen.requests_per_s else math.nan, 0),
            f"{sum(seen.memory_mib.values()):,.0f}",
            ", ".join(f"{count:,} {word}" for word, count in wrong.items()) or "0",
        )


HEADINGS = ("requests/s", "× Headrace online", "p50 ms", "p99 ms", "CPU µs per request", "MiB", "errors")


def lines(entries: Sequence[Entry], medians: Mapping[str, Figures], streams: int) -> list[Line]:
    """Return the lines of the rows with so many requests in flight on each connection, as far as they were measured."""
    scenarios = [one for entry in entries for one in entry.rows if one.streams == streams and one.name in medians]
    base = next((medians[one.name].requests_per_s for one in scenarios if _is_base(one)), 0.0)
    return [
        Line(one.title, medians[one.name], medians[one.name].requests_per_s / base if base else None)
        for one in scenarios
    ]


def loads(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    """Return the loads, by requests in flight on each connection, with what they are called."""
    found = {one.streams: one for entry in entries for one in entry.rows}
    return [(streams, _load(one)) for streams, one in sorted(found.items(), reverse=True)]


def text(entries: Sequence[Entry], medians: Mapping[str, Figures]) -> str:
    """Return the tables for a terminal, and what could not be measured."""
    widths = [max(len(heading), 10) for heading in HEADINGS]
    parts = []
    for streams, load in loads(entries):
        head = "".join(f"{heading:>{width + 2}}" for heading, width in zip(HEADINGS, widths, strict=True))
        parts.append(f"\n{load:<36}{head}")
        for line in lines(entries, medians, streams):
            cells = "".join(f"{cell:>{width + 2}}" for cell, width in zip(line.cells(), widths, strict=True))
            parts.append(f"{line.title:<36}{cells}")
    parts += [f"\nnot measured: {one.title}: {_first_line(one.failed)}" for one in entries if one.failed]
    return "\n".join(parts)


def markdown(about: Mapping[str, str], command: str, entries: Sequence[Entry], medians: Mapping[str, Figures]) -> str:
    """Return the same for a document, with what each system was and how it was configured. command: what printed it."""
    parts = [
        f"{about['cpu']}, Linux {about['kernel']}, CPython {about['python']}, {about['date']}; {about['runs']}, by "
        f"`{command}`."
    ]
    for streams, load in loads(entries):
        parts += ["", f"| {load} | {' | '.join(HEADINGS)} |", f"| --- |{' --- |' * len(HEADINGS)}"]
        parts += [f"| {line.title} | {' | '.join(line.cells())} |" for line in lines(entries, medians, streams)]
    parts += ["", "| system | version | configuration |", "| --- | --- | --- |"]
    parts += [f"| {one.title} | {one.versions} | {one.how} |" for one in entries]
    parts += [f"\nNot measured: {one.title}: {_first_line(one.failed)}" for one in entries if one.failed]
    return "\n".join(parts) + "\n"


def _is_base(one: Scenario) -> bool:
    """Whether others are compared with it: Headrace where it computes every answer, as they do."""
    return one.system == HEADRACE and one.known_share == ONLINE


def _load(one: Scenario) -> str:
    total = one.connections * one.streams
    return "one request in flight" if total == 1 else f"{total} in flight ({one.connections} × {one.streams})"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _first_line(failed: str) -> str:
    return failed.strip().partition("\n")[0]
