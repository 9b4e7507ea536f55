"""Summarise rows of the log as windows: counts on the frozen bins, by variant, source and time. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from headrace_statistics.arrays import counts
from headrace_statistics.references import ColumnReference, Summary, expected_of_units
from headrace_statistics.sketches.moments import Moments, moments
from headrace_statistics.sketches.units import Units, UnitSums

from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.dependent_rows import summed, unit_hashes
from headrace_monitor.judge.references.values import numbers, summarised
from headrace_monitor.record.log.decisions.sampled_rows import PROBABILITY, halvings_of, most_halvings

# Its functions are made when it is imported, which type checkers do not see.
pc: Any = pyarrow.compute

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Columns of the log that say what a row is.
ROW_COLUMNS = ("answer_time", "variant", "served_from", "unit", "prediction_id", PROBABILITY)
VALUE = "prediction_value"


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """The rows of a window. start: of its time; it is `seconds` long. probability: that a row is in the log."""

    start: datetime
    seconds: int
    variant: str
    source: str
    probability: float = 1.0

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Window:
    """Summaries of the rows of a key, by column. predictions: moments of the predicted value. units: by column, sums
    over rows by the user, or the request, that they belong to.
    """

    rows: int
    summaries: Mapping[str, Summary]
    predictions: Moments
    units: Mapping[str, UnitSums] = field(default_factory=dict)

    def merge(self, other: Window) -> Window:
        """Add up, in any order. Raises ValueError for windows on other edges."""
        summaries = dict(self.summaries)
        for name, summary in other.summaries.items():
            mine = summaries.get(name)
            summaries[name] = summary if mine is None else mine.merge(summary)  # pyright: ignore[reportArgumentType]
        units = dict(self.units)
        for name, sums in other.units.items():
            units[name] = units[name].merge(sums) if name in units else sums
        return Window(self.rows + other.rows, summaries, self.predictions.merge(other.predictions), units)

    def thinned(self, share: float) -> Window:
        """Return what is expected of such a share of the rows, drawn by chance."""
        summaries = {name: summary.thinned(share) for name, summary in self.summaries.items()}
        return replace(self, summaries=summaries, predictions=self.predictions.thinned(share))

    def design_effects(self, frozen: Mapping[str, ColumnReference]) -> Mapping[str, float]:
        """Return how many rows of each column say as much as one that is independent. frozen: columns of the reference
        that the window is held against.
        """
        found = dict.fromkeys(self.summaries, 1.0)
        for name, sums in self.units.items():
            found[name] = sums.design_effect(expected_of_units(frozen[name]) if name in frozen else None)
        return found


EMPTY = Window(0, {}, Moments())


def even(windows: Mapping[float, Window]) -> Window:
    """Merge windows of rows with different sampling probabilities into one in which all traffic counts alike.

    Rows with a higher probability are thinned to the lowest one that is weighed, so the result never claims more rows
    than the log supports. Without sampling, every row counts.
    """
    halvings = {probability: round(-math.log2(probability)) for probability in windows}
    most = most_halvings({halvings[probability]: window.rows for probability, window in windows.items()})
    total = EMPTY
    for probability, window in sorted(windows.items()):
        share = 2.0 ** (halvings[probability] - most)
        total = total.merge(window if share >= 1 else window.thinned(share))
    return total


def wanted_columns(columns: Sequence[MonitoredColumn]) -> list[str]:
    """Return the columns of the log that are read."""
    return [*ROW_COLUMNS, VALUE, *(column.stored for column in columns)]


def windows_of(
    table: pa.Table, columns: Sequence[MonitoredColumn], frozen: Mapping[str, ColumnReference], seconds: int
) -> dict[WindowKey, Window]:
    """Return the windows of a table of the log, each `seconds` long."""
    return {key: window_of(part, columns, frozen) for key, part in _parts(table, seconds)}


def window_of(table: pa.Table, columns: Sequence[MonitoredColumn], frozen: Mapping[str, ColumnReference]) -> Window:
    """Return one window of all rows of a table.

    Rows without any feature belong to requests without features, such as those answered by their entity alone: their
    features do not count as missing.
    """
    asked = _asked(table, columns)
    summaries: dict[str, Summary] = {}
    units: dict[str, UnitSums] = {}
    hashes = {id(part): unit_hashes(part) for part in ((table,) if asked is table else (table, asked))}
    rows = {part: Units(counts(found)) for part, found in hashes.items() if found.size}
    for column in columns:
        reference = frozen.get(column.name)
        if reference is None:
            continue
        part = table if column.prediction else asked
        array = part.column(column.stored) if column.stored in part.schema.names else None
        summary = summarised(column, reference, array, part.num_rows)
        if summary is not None:
            summaries[column.name] = summary
            of = rows.get(id(part))
            sums = None if array is None or of is None else summed(column, reference, array, of)
            if sums is not None:
                units[column.name] = sums
    values = table.column(VALUE) if VALUE in table.schema.names else None
    predicted = Moments() if values is None else moments(numbers(values.drop_null()))
    return Window(table.num_rows, summaries, predicted, units)


def _parts(table: pa.Table, seconds: int) -> Iterator[tuple[WindowKey, pa.Table]]:
    if table.num_rows == 0:
        return
    starts = pc.cast(table.column("answer_time"), pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    starts = starts // (seconds * 1_000_000) * seconds
    variants, variant_names = _coded(table.column("variant"))
    sources, source_names = _coded(table.column("served_from"))
    columns = [starts, variants, sources, halvings_of(table)]
    keys, places = np.unique(np.stack(columns), axis=1, return_inverse=True)
    for index, (start, variant, source, halvings) in enumerate(keys.T.tolist()):
        start = _EPOCH + timedelta(seconds=start)
        key = WindowKey(start, seconds, variant_names[variant], source_names[source], 2.0**-halvings)
        yield key, table if keys.shape[1] == 1 else table.filter(pa.array(places.ravel() == index))


def _coded(array: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Return which name each row has, and the names."""
    encoded = pc.fill_null(array.cast(pa.string()), "").dictionary_encode().unify_dictionaries()
    codes = np.concatenate([np.asarray(chunk.indices) for chunk in encoded.chunks])
    return codes.astype(np.int64), encoded.chunk(0).dictionary.to_pylist()


def _asked(table: pa.Table, columns: Sequence[MonitoredColumn]) -> pa.Table:
    there = frozenset(table.schema.names)
    features = [table.column(each.stored) for each in columns if not each.prediction and each.stored in there]
    if any(feature.null_count == 0 for feature in features):
        return table
    any_there = np.zeros(table.num_rows, dtype=bool)
    for feature in features:
        any_there |= pc.is_valid(feature).to_numpy()
    return table if any_there.all() else table.filter(pa.array(any_there))
