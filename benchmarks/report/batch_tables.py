"""Rows of `make bench-batch` as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COMMAND = "make bench-batch"
_TITLES = ("network", "what", "workers", "rows/s", "rows per CPU second", "of the limit", "at once", "memory MB")


def line(row: Any) -> str:
    """Return a row of progress output."""
    duration = f"  estimated {row.estimated_s:,.1f} s, took {row.wall_s:,.1f} s" if row.estimated_s else ""
    duration += f", {row.busy:.2f} processors busy" if row.busy else ""
    return (
        f"  {row.network:6} {row.name:14} {row.workers} workers  {row.rows / row.wall_s:>11,.0f} rows/s"
        f"  {row.per_cpu_s:>11,.0f} per CPU second{duration}"
    )


def text(rows: Sequence[Any]) -> str:
    """Return the table for a terminal."""
    return "\n".join("  ".join(f"{cell:>19}" for cell in cells) for cells in [_TITLES, *_cells(rows)])


def markdown(about: Mapping[str, str], rows: Sequence[Any]) -> str:
    """Return the table for a document."""
    lines = [f"| {' | '.join(_TITLES)} |", f"|{' --- |' * len(_TITLES)}"]
    lines += [f"| {' | '.join(cells)} |" for cells in _cells(rows)]
    where = f"{about['cpu']}, Linux {about['kernel']}, CPython {about['python']}, {about['date']}; {about['runs']}"
    return f"{where}, by `{COMMAND}`.\n\n" + "\n".join(lines)


def _cells(rows: Sequence[Any]) -> list[tuple[str, ...]]:
    limits = {row.network: row.per_cpu_s for row in rows if row.name == "ONNX Runtime"}
    found = []
    for row in rows:
        in_memory = row.name in ("ONNX Runtime", "row by row", "worker")
        memory = f"{row.memory_early / 1e6:,.0f} → {row.memory_most / 1e6:,.0f}" if row.memory_most else "–"
        share = row.per_cpu_s / limits[row.network]
        found.append(
            (
                *(row.network, row.name, str(row.workers)),
                "–" if in_memory else f"{row.rows / row.wall_s:,.0f}",
                *(f"{row.per_cpu_s:,.0f}", f"{share:.0%}", f"{row.batch_rows:,}", memory),
            )
        )
    return found
