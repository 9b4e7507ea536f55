"""Find slices whose error rate has risen: count errors per hour, and compare them with the days before. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from headrace_statistics import slices
from headrace_statistics.arrays import Codes
from headrace_statistics.proportions import Proportion

from headrace_monitor.judge.performance.decisions.joins import FEATURE, JoinedRows, VersionInfo, coded_rows, slices_of
from headrace_monitor.judge.performance.decisions.means import Floats
from headrace_monitor.record.log.decisions.sampled_rows import most_halvings
from headrace_monitor.record.outcomes.store import ValuesByRow

if TYPE_CHECKING:
    import pyarrow as pa

VARIANT = "variant"
MAX_COLUMNS = 20
MAX_KEPT = 1 + 2 * MAX_COLUMNS
MAX_VALUES = 50

# Errors and labelled rows of the log by column, value, and how often the rows' probability was halved: each of them
# stands for 2^halvings rows.
ByHalvings = Mapping[int, Sequence[float]]
Counts = Mapping[str, Mapping[str, ByHalvings]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Error counts of labelled rows of one version. score, answer: pairs to calibrate on. codes: of their features, in
    the version's coding; None without one.
    """

    counts: dict[str, dict[str, dict[int, list[float]]]]
    score: Floats
    answer: Floats
    codes: Codes | None = None


def evidence_of(batch: pa.RecordBatch, outcomes: ValuesByRow, about: VersionInfo, columns: Sequence[str]) -> Evidence:
    """Count errors of one version's rows by variant, by the values of these columns, and by attributes of requests."""
    joined = JoinedRows.of(batch, outcomes)
    rows, _ = joined.rows(np.arange(batch.num_rows), about, None)
    known = np.flatnonzero(np.isfinite(rows.right))
    halvings = np.rint(np.log2(rows.weight)).astype(np.int64)
    counts: dict[str, dict[str, dict[int, list[float]]]] = {}
    for column, values in _sliced(batch, columns).items():
        by_value: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        for index in known:
            count = by_value[values[index]][int(halvings[index])]
            count[0] += 1 - float(rows.right[index])
            count[1] += 1
        counts[column] = {value: dict(count) for value, count in by_value.items()}
    usable = np.flatnonzero(np.isfinite(rows.score) & np.isfinite(rows.answer))
    codes = None if about.coding is None else coded_rows(batch, usable, about.coding)
    return Evidence(counts, rows.score[usable], rows.answer[usable], codes)


def _sliced(batch: pa.RecordBatch, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the value of each row by what rows are sliced by; empty where a row has none."""
    from headrace_monitor.record.log.attributes import attribute_columns

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


def added(counts: Iterable[Counts]) -> dict[str, dict[str, dict[int, list[float]]]]:
    """Add up counts; the columns with most labelled rows are kept (callers name attributes), of each the values with
    most.
    """
    total: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(lambda: [0, 0]))
    )
    for one in counts:
        for column, values in one.items():
            for value, by_halvings in values.items():
                for halvings, (errors, rows) in by_halvings.items():
                    sums = total[column][value][halvings]
                    sums[0] += errors
                    sums[1] += rows
    labelled = {column: sum(_rows(count) for count in values.values()) for column, values in total.items()}
    columns = sorted(total, key=lambda column: (column != VARIANT, -labelled[column], column))[:MAX_KEPT]
    return {
        column: {
            value: dict(count)
            for value, count in sorted(total[column].items(), key=lambda item: (-_rows(item[1]), item[0]))[:MAX_VALUES]
        }
        for column in columns
    }


def _rows(count: ByHalvings) -> float:
    return sum(rows for _, rows in count.values())


def stored(count: ByHalvings) -> list[float]:
    """Return a count as it is stored: errors and labels, as many as the rows stand for, and the most that one row
    stands for; then, where rows stand for more or less, the same three of those that stand for equally many. Earlier
    releases wrote, and read, the first three.
    """
    weighed = [(2.0**halvings, errors, rows) for halvings, (errors, rows) in count.items()]
    parts = [(errors * weight, rows * weight, weight) for weight, errors, rows in weighed]
    whole = [sum(errors for errors, *_ in parts), sum(labels for _, labels, _ in parts), max(one[2] for one in parts)]
    return whole if len(parts) == 1 else [*whole, *(number for part in parts for number in part)]


def read(numbers: Sequence[float]) -> dict[int, tuple[float, float]]:
    """Return a count that was stored.

    >>> read(stored({0: (5, 100), 3: (1, 2)})), read([8.0, 80.0, 4.0]), read([5, 100])
    ({0: (5.0, 100.0), 3: (1.0, 2.0)}, {2: (2.0, 20.0)}, {0: (5.0, 100.0)})
    """
    first = (*numbers, 1.0)[:3]  # the earliest release had no weights
    parts = iter(numbers[3:] or first)
    return {
        round(math.log2(most)): (errors / most, labels / most)
        for errors, labels, most in zip(parts, parts, parts, strict=True)
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
        slices.Slice(column, value): _share([count], most)
        for column, values in counts.items()
        for value, count in values.items()
        if value
    }


def _whole(counts: Counts) -> Proportion:
    """Return all errors and labels: every row has a variant, if an empty one."""
    return _share(counts.get(VARIANT, {}).values(), _most(counts))


def _most(counts: Counts) -> int:
    """Return the halvings up to which rows are weighed, as drift's windows weigh them: a few rows that stand for most
    do not thin all others.
    """
    rows: dict[int, float] = defaultdict(float)
    for count in counts.get(VARIANT, {}).values():
        for halvings, (_, labelled) in count.items():
            rows[halvings] += labelled
    return most_halvings({halvings: round(labelled) for halvings, labelled in rows.items()})


def _share(counts: Iterable[ByHalvings], most: int) -> Proportion:
    """Count rows as if all had been sampled as rarely as those halved `most` times. So no row counts for more than
    one, and together they are never more than Kish's effective number.
    """
    errors, labels = 0.0, 0.0
    for count in counts:
        for halvings, (wrong, rows) in count.items():
            weight = 2.0 ** min(halvings - most, 0)
            errors += weight * wrong
            labels += weight * rows
    return Proportion(min(round(errors), round(labels)), round(labels))
