"""Bins of a reference and of a window, few enough to plot. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from headrace_statistics.references import (
    CategoricalReference,
    ColumnReference,
    NumericReference,
    NumericSummary,
    Summary,
)
from headrace_statistics.sketches.categories import CategoryCounts

MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of rows in the same bins, in the reference and in the window."""

    column: str
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]


def histogram(column: str, reference: ColumnReference, window: Summary) -> Histogram | None:
    """Return a column's bins; None for what has none (embeddings), and for summaries of another kind."""
    if isinstance(reference, NumericReference) and isinstance(window, NumericSummary):
        return _of_numbers(column, reference, window)
    if isinstance(reference, CategoricalReference) and isinstance(window, CategoryCounts):
        return _of_names(column, reference, window)
    return None


def _of_numbers(column: str, reference: NumericReference, window: NumericSummary) -> Histogram:
    """Return the groups that PSI compares: about a tenth of the reference in each."""
    groups = np.asarray(reference.groups)
    size = int(groups[-1]) + 1 if groups.size else 1
    # The upper edge of a group is that of its last fine bin.
    last = [int(np.flatnonzero(groups == group)[-1]) for group in range(size)]
    inner = [float(reference.edges.inner[at]) for at in last[:-1]]
    labels = bins_of(inner)
    missing = [reference.summary.rows - reference.summary.bins.finite, window.rows - window.bins.finite]
    before = np.bincount(groups, reference.summary.bins.counts, minlength=size)
    now = np.bincount(groups, window.bins.counts, minlength=size)
    if any(missing):
        labels, before, now = [*labels, "missing"], np.append(before, missing[0]), np.append(now, missing[1])
    return Histogram(column, tuple(labels), _shares(before), _shares(now))


def bins_of(edges: Sequence[float]) -> list[str]:
    """Return the labels of bins, from the edges between them.

    A frequent value has a separate bin, whose lower edge is the next smaller float.

    >>> bins_of([1.5, 2.0]), bins_of([np.nextafter(0.0, -1.0), 0.0]), bins_of([])
    (['≤ 1.5', '≤ 2', '> 2'], ['< 0', '0', '> 0'], ['all'])
    """
    if not edges:
        return ["all"]
    below = [float(np.nextafter(edge, -np.inf)) for edge in edges]
    labels = []
    for at, edge in enumerate(edges):
        if at + 1 < len(edges) and edge == below[at + 1]:
            labels.append(f"< {edges[at + 1]:.3g}")
        elif at and edges[at - 1] == below[at]:
            labels.append(f"{edge:.3g}")
        else:
            labels.append(f"≤ {edge:.3g}")
    return [*labels, f"> {edges[-1]:.3g}"]


def _of_names(column: str, reference: CategoricalReference, window: CategoryCounts) -> Histogram:
    """Return the most frequent categories of the reference, those that are new, and the rest."""
    names = reference.categories.names[:MOST_NAMES]
    before, now = reference.summary.counts, window.counts
    rest = [int(before[len(names) :].sum()), int(now[len(names) :].sum())]
    rows = [(name, int(before[at]), int(now[at])) for at, name in enumerate(names)]
    more = (("others", *rest), ("new", reference.summary.new, window.new))
    missing = ("missing", reference.summary.missing, window.missing)
    rows += [row for row in (*more, missing) if row[1] or row[2]]
    labels, first, second = zip(*rows, strict=True) if rows else ((), (), ())
    return Histogram(column, labels, _shares(np.array(first)), _shares(np.array(second)))


def _shares(counts: np.ndarray) -> tuple[float, ...]:
    total = float(counts.sum())
    return tuple(float(count) / total if total else 0.0 for count in counts)
