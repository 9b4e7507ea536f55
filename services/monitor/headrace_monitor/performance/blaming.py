"""Which slices make more errors than they did: counted per hour, compared with the days before. Pure, but for Arrow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace_monitor.performance.joining import FEATURE, About, Facts, Joined, slices_of
from headrace_monitor.performance.means import Floats
from headrace_monitor.statistics import slices
from headrace_monitor.statistics.shares import Share

if TYPE_CHECKING:
    import pyarrow as pa

VARIANT = "variant"
MAX_COLUMNS = 20
MAX_KEPT = 1 + 2 * MAX_COLUMNS
MAX_VALUES = 50

# Errors and labels, by column and value.
Counts = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What labelled rows of one version show. score, answer: pairs to calibrate on."""

    counts: dict[str, dict[str, list[float]]]
    score: Floats
    answer: Floats


def evidence_of(batch: pa.RecordBatch, facts: Facts, about: About, columns: Sequence[str]) -> Evidence:
    """Count errors of one version's rows by variant, by the values of these columns, and by attributes of requests."""
    joined = Joined.of(batch, facts)
    rows, _ = joined.rows(np.arange(batch.num_rows), about, None)
    known = np.flatnonzero(np.isfinite(rows.right))
    counts: dict[str, dict[str, list[float]]] = {}
    for column, values in _sliced(batch, columns).items():
        by_value: dict[str, list[float]] = defaultdict(lambda: [0, 0])
        for index in known:
            count = by_value[values[index]]
            count[0] += 1 - rows.right[index]
            count[1] += 1
        counts[column] = dict(by_value)
    usable = np.isfinite(rows.score) & np.isfinite(rows.answer)
    return Evidence(counts, rows.score[usable], rows.answer[usable])


def _sliced(batch: pa.RecordBatch, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the value of each row by what rows are sliced by; empty where a row has none."""
    from headrace_monitor.log.attributes import attribute_columns

    found = {VARIANT: [value or "" for value in batch.column("variant").to_pylist()]} | {
        column: slices_of(batch, column) for column in columns[:MAX_COLUMNS] if FEATURE + column in batch.schema.names
    }
    # An attribute that is called like a feature is told as the feature.
    attributes = attribute_columns(batch, but={*found, *columns})
    return found | {name: [value or "" for value in values.to_pylist()] for name, values in attributes.items()}


def added(counts: Iterable[Counts]) -> dict[str, dict[str, list[float]]]:
    """Add up counts; the columns with most labels are kept (callers name attributes), of each the values with most."""
    total: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for one in counts:
        for column, values in one.items():
            for value, (errors, labels) in values.items():
                total[column][value][0] += errors
                total[column][value][1] += labels
    labelled = {column: sum(labels for _, labels in values.values()) for column, values in total.items()}
    kept = sorted(total, key=lambda column: (column != VARIANT, -labelled[column], column))[:MAX_KEPT]
    return {
        column: dict(sorted(total[column].items(), key=lambda item: (-item[1][1], item[0]))[:MAX_VALUES])
        for column in kept
    }


def worse(before: Counts, now: Counts, *, most: int = 5) -> tuple[slices.Explanation, ...]:
    """Name the slices whose share of errors has risen, the one that explains most first."""
    whole_before, whole_now = _whole(before), _whole(now)
    if not whole_before.of or not whole_now.of:
        return ()
    return slices.explain_rise(_shares(before), _shares(now), whole_before=whole_before, whole_now=whole_now, most=most)


def sentence(found: Sequence[slices.Explanation]) -> str:
    """Return what is worst and where; empty where nothing is."""
    if not found:
        return ""
    first = found[0]
    return (
        f"errors have risen most where {first.slice}: from {first.before:.1%} to {first.now:.1%}, "
        f"{first.explained:.0%} of the whole rise"
    )


def _shares(counts: Counts) -> dict[slices.Slice, Share]:
    return {
        slices.Slice(column, value): Share(round(errors), round(labels))
        for column, values in counts.items()
        for value, (errors, labels) in values.items()
        if value
    }


def _whole(counts: Counts) -> Share:
    """Return all errors and labels: every row has a variant, if an empty one."""
    of_variants = counts.get(VARIANT, {}).values()
    return Share(round(sum(errors for errors, _ in of_variants)), round(sum(labels for _, labels in of_variants)))
