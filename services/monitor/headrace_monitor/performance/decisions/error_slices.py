"""Find slices whose error rate has risen: count errors per hour, and compare them with the days before. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from headrace_statistics import slices
from headrace_statistics.proportions import Proportion

from headrace_monitor.outcomes.store import ValuesByRow
from headrace_monitor.performance.decisions.joining import FEATURE, JoinedRows, VersionInfo, slices_of
from headrace_monitor.performance.decisions.means import Floats

if TYPE_CHECKING:
    import pyarrow as pa

VARIANT = "variant"
MAX_COLUMNS = 20
MAX_KEPT = 1 + 2 * MAX_COLUMNS
MAX_VALUES = 50

# Errors and labels, as many as the log's rows stand for, and the most that one row stands for, by column and value.
Counts = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Error counts of labelled rows of one version. score, answer: pairs to calibrate on."""

    counts: dict[str, dict[str, list[float]]]
    score: Floats
    answer: Floats


def evidence_of(batch: pa.RecordBatch, outcomes: ValuesByRow, about: VersionInfo, columns: Sequence[str]) -> Evidence:
    """Count errors of one version's rows by variant, by the values of these columns, and by attributes of requests."""
    joined = JoinedRows.of(batch, outcomes)
    rows, _ = joined.rows(np.arange(batch.num_rows), about, None)
    known = np.flatnonzero(np.isfinite(rows.right))
    counts: dict[str, dict[str, list[float]]] = {}
    for column, values in _sliced(batch, columns).items():
        by_value: dict[str, list[float]] = defaultdict(lambda: [0, 0, 1])
        for index in known:
            count, weight = by_value[values[index]], float(rows.weight[index])
            count[0] += weight * (1 - float(rows.right[index]))
            count[1] += weight
            count[2] = max(count[2], weight)
        counts[column] = dict(by_value)
    usable = np.isfinite(rows.score) & np.isfinite(rows.answer)
    return Evidence(counts, rows.score[usable], rows.answer[usable])


def _sliced(batch: pa.RecordBatch, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the value of each row by what rows are sliced by; empty where a row has none."""
    from headrace_monitor.log.attributes import attribute_columns

    found = {VARIANT: [value or "" for value in batch.column("variant").to_pylist()]} | {
        column: slices_of(batch, column) for column in columns[:MAX_COLUMNS] if FEATURE + column in batch.schema.names
    }
    # An attribute that is called like a feature counts as that feature.
    attributes = attribute_columns(batch, but={*found, *columns})
    found |= {name: [value or "" for value in values.to_pylist()] for name, values in attributes.items()}
    return {_keepable(name): [_keepable(value) for value in values] for name, values in found.items()}


def _keepable(text: str) -> str:
    """Return what callers sent as PostgreSQL takes it: there is no NUL in its texts."""
    return text.replace("\0", "")


def added(counts: Iterable[Counts]) -> dict[str, dict[str, list[float]]]:
    """Add up counts; the columns with most labels are kept (callers name attributes), of each the values with most."""
    total: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 1]))
    for one in counts:
        for column, values in one.items():
            for value, (errors, labels, most) in values.items():
                sums = total[column][value]
                sums[0] += errors
                sums[1] += labels
                sums[2] = max(sums[2], most)
    labelled = {column: sum(labels for _, labels, _ in values.values()) for column, values in total.items()}
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


def _shares(counts: Counts) -> dict[slices.Slice, Proportion]:
    most = _most(counts)
    return {
        slices.Slice(column, value): _share(errors / most, labels / most)
        for column, values in counts.items()
        for value, (errors, labels, _) in values.items()
        if value
    }


def _whole(counts: Counts) -> Proportion:
    """Return all errors and labels: every row has a variant, if an empty one."""
    of_variants, most = counts.get(VARIANT, {}).values(), _most(counts)
    return _share(sum(errors for errors, *_ in of_variants) / most, sum(labels for _, labels, _ in of_variants) / most)


def _most(counts: Counts) -> float:
    """Return the most that one row stands for: by it all are divided, so that no row counts for more than one."""
    return max((most for values in counts.values() for *_, most in values.values()), default=1.0)


def _share(errors: float, labels: float) -> Proportion:
    return Proportion(min(round(errors), round(labels)), round(labels))
