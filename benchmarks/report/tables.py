"""What was measured, as people read it: in a terminal, and in docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measures.bars import Verdict
from benchmarks.measures.curve import Curve
from benchmarks.measures.figures import Figures
from benchmarks.measures.scenarios import SCENARIOS

_TITLES = {one.name: one.title for one in SCENARIOS}
# Beside the document.
PLOT = "load-curve.svg"
_MARKS = {True: "reached", False: "NOT REACHED"}


def conditions(runs: str) -> dict[str, str]:
    """Return what the figures depend on. runs: how many of which length, in words."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    return {
        "cpu": f"{os.cpu_count()} cores, {model}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "runs": runs,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def text(medians: Mapping[str, Figures], judged: Sequence[Verdict]) -> str:
    """Return the rows, then the bars, for a terminal."""
    lines = [
        f"\n{'row':<16}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'us each':>9}{'kept':>7}  where the CPU goes, us"
    ]
    for name, seen in medians.items():
        kept = f"{seen.kept_share:.1%}" if seen.kept_share is not None else ""
        lines.append(
            f"{name:<16}{seen.requests_per_s:>11,.0f}{seen.p50_ms:>9.2f}{seen.p99_ms:>9.2f}{seen.cost_us:>9.0f}{kept:>7}"
            f"  {_costs(seen)}"
        )
        wrong = {word: count for word, count in seen.outcomes.items() if word != "OK"}
        if wrong:
            lines.append(f"{'':16}not OK: {', '.join(f'{count:,} {word}' for word, count in wrong.items())}")
    lines.append(f"\n{'row':<16}{'bar':<48}{'reached':<26}")
    lines += [f"{one.row:<16}{one.bar:<48}{one.reached:<26}{_MARKS[one.enough]}" for one in judged]
    return "\n".join(lines)


def markdown(
    about: Mapping[str, str],
    medians: Mapping[str, Figures],
    judged: Sequence[Verdict],
    curves: Sequence[Curve],
) -> str:
    """Return the same as tables for a document."""
    lines = [
        f"{about['cpu']}, Linux {about['kernel']}, CPython {about['python']}, {about['date']}; {about['runs']}.",
        "",
        "| row | bar | reached | |",
        "| --- | --- | --- | --- |",
        *(
            f"| {_TITLES.get(one.row, one.row)} | {one.bar} | {one.reached} | {'✓' if one.enough else '✗'} |"
            for one in judged
        ),
        "",
        "| row | requests/s | p50 ms | p99 ms | CPU µs per request |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {_TITLES.get(name, name)} | {seen.requests_per_s:,.0f} | {seen.p50_ms:.2f} | {seen.p99_ms:.2f} "
            f"| {seen.cost_us:.0f} |"
            for name, seen in medians.items()
        ),
    ]
    if curves:
        lines += ["", f"![Latency against offered load]({PLOT})"]
    return "\n".join(lines) + "\n"


def _costs(seen: Figures) -> str:
    return ", ".join(f"{name} {us:.0f}" for name, us in seen.cpu_us.items() if us >= 1)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
