"""Find the slices that explain an alarm: compare rows of the window with rows of a time without alarms. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from headrace_statistics.drift import psi
from headrace_statistics.drift.reports import DriftReport, Test
from headrace_statistics.proportions import Proportion
from headrace_statistics.references import CategoricalReference, ColumnReference, NumericReference
from headrace_statistics.slices import Explanation, Slice, explain_drift, explain_rise
from numpy.typing import NDArray

from headrace_monitor.judge.drift.decisions.evaluation import SliceEffect
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.references.values import UnusableColumnError, coded_names, numbers
from headrace_monitor.record.log.attributes import ATTRIBUTES, attribute_columns
from headrace_monitor.record.log.decisions.sampled_rows import PROBABILITY

# Slices of rarer values are too small to explain much.
MAX_VALUES = 50
MAX_COLUMNS = 20
# Columns of the log that rows are sliced by, besides categorical features and request attributes.
ROW_COLUMNS = ("variant", "data_plane", "pipeline")
_TEXT = "BYTES"
_DRIFT = frozenset((Test.PSI, Test.KS, Test.CHI_SQUARE, Test.EXACT_SHARES))
_RISE = frozenset((Test.MISSING, Test.NOT_FINITE, Test.OUT_OF_RANGE, Test.NEW_CATEGORIES))


def explainable(alarms: Sequence[DriftReport]) -> DriftReport | None:
    """Return the worst alarm that slices can explain. alarms: the worst first."""
    return next((alarm for alarm in alarms if alarm.test in _DRIFT | _RISE), None)


def wanted_columns(column: MonitoredColumn, by: Sequence[MonitoredColumn]) -> list[str]:
    """Return the columns of the log that are read to explain an alarm of a column."""
    return [column.stored, *(each.stored for each in by), *ROW_COLUMNS, ATTRIBUTES, PROBABILITY]


def sliced_by(column: MonitoredColumn, judged: Sequence[MonitoredColumn]) -> tuple[MonitoredColumn, ...]:
    """Return the columns whose values make slices: categorical features other than the one to be explained."""
    return tuple(
        each
        for each in judged
        if each.read_as is ColumnType.CATEGORICAL and not each.prediction and each.name != column.name
    )[:MAX_COLUMNS]


def explained(
    alarm: DriftReport,
    column: MonitoredColumn,
    frozen: ColumnReference,
    by: Sequence[MonitoredColumn],
    before: pa.Table,
    now: pa.Table,
) -> tuple[SliceEffect, ...]:
    """Return the slices that explain an alarm of a column, those that explain most first."""
    try:
        if alarm.test in _DRIFT:
            return _explained_drift(column, frozen, by, before, now)
        return _explained_rise(alarm.test, column, frozen, by, before, now)
    except UnusableColumnError:
        return ()


def _explained_drift(
    column: MonitoredColumn, frozen: ColumnReference, by: Sequence[MonitoredColumn], before: pa.Table, now: pa.Table
) -> tuple[SliceEffect, ...]:
    places_before, places = _places(column, frozen, before)
    places_now, _ = _places(column, frozen, now)
    parts_before, parts_now = _parts(column, by, before), _parts(column, by, now)
    counts_before = {one: _counted(places_before[rows], places) for one, rows in parts_before.items()}
    counts_now = {one: _counted(places_now[rows], places) for one, rows in parts_now.items()}
    found = explain_drift(
        counts_before,
        counts_now,
        whole_before=_counted(places_before, places),
        whole_now=_counted(places_now, places),
    )

    def effect(each: Explanation) -> float:
        inside = counts_before.get(each.slice, np.zeros(places, dtype=np.int64))
        change = psi.compare(inside, counts_now[each.slice], tolerance=0.0)
        return change.effect if isinstance(change, psi.PsiChange) else 0.0

    return tuple(_slice(each, effect(each)) for each in found)


def _explained_rise(
    test: Test,
    column: MonitoredColumn,
    frozen: ColumnReference,
    by: Sequence[MonitoredColumn],
    before: pa.Table,
    now: pa.Table,
) -> tuple[SliceEffect, ...]:
    flags_before, flags_now = _flags(test, column, frozen, before), _flags(test, column, frozen, now)
    found = explain_rise(
        {one: _share(flags_before[rows]) for one, rows in _parts(column, by, before).items()},
        {one: _share(flags_now[rows]) for one, rows in _parts(column, by, now).items()},
        whole_before=_share(flags_before),
        whole_now=_share(flags_now),
    )
    return tuple(_slice(each, each.now - each.before) for each in found)


def _places(column: MonitoredColumn, frozen: ColumnReference, table: pa.Table) -> tuple[NDArray[np.int64], int]:
    """Return the bin or category of each row, -1 where it has none, and how many there are."""
    array = _stored(column, table)
    match frozen:
        case NumericReference():
            values = numbers(array)
            fine = np.searchsorted(frozen.edges.inner, values, side="left")
            return np.where(np.isfinite(values), frozen.groups[fine], -1), int(frozen.groups[-1]) + 1
        case CategoricalReference():
            place = {name: index for index, name in enumerate(frozen.categories.names)}
            codes, names = coded_names(array, column.datatype)
            return np.array([*(place.get(name, len(place)) for name in names), -1])[codes], len(place) + 1
    raise UnusableColumnError("embeddings have no bins")


def _flags(test: Test, column: MonitoredColumn, frozen: ColumnReference, table: pa.Table) -> NDArray[np.bool_]:
    """Return which rows have what the share of has risen."""
    array = _stored(column, table)
    if isinstance(frozen, CategoricalReference):
        codes, names = coded_names(array, column.datatype)
        if test is Test.MISSING:
            return codes == -1
        return np.array([*(not frozen.categories.has(name) for name in names), False])[codes]
    values = numbers(array)
    if test is Test.MISSING:
        return np.isnan(values)
    if test is Test.NOT_FINITE:
        return np.isinf(values)
    assert isinstance(frozen, NumericReference)
    return (values < frozen.edges.low) | (values > frozen.edges.high)


def _parts(column: MonitoredColumn, by: Sequence[MonitoredColumn], table: pa.Table) -> Mapping[Slice, NDArray[np.intp]]:
    """Return the rows of each slice. column: the one to be explained."""
    stored = {each.name: (each.stored, each.datatype) for each in by} | {name: (name, _TEXT) for name in ROW_COLUMNS}
    columns = {
        name: (table.column(place), datatype)
        for name, (place, datatype) in stored.items()
        if place in table.schema.names
    }
    # An attribute that is called like a feature most likely is that feature.
    attributes = attribute_columns(table, but={column.name, *columns})
    columns |= {name: (values, _TEXT) for name, values in attributes.items()}
    found: dict[Slice, NDArray[np.intp]] = {}
    for name, (values, datatype) in columns.items():
        codes, names = coded_names(values, datatype)
        sizes = np.bincount(codes[codes >= 0], minlength=len(names))
        for index in np.argsort(-sizes)[:MAX_VALUES]:
            found[Slice(name, names[index])] = np.flatnonzero(codes == index)
    return found


def _stored(column: MonitoredColumn, table: pa.Table) -> pa.ChunkedArray:
    if column.stored in table.schema.names:
        return table.column(column.stored)
    return pa.chunked_array([pa.nulls(table.num_rows)])


def _counted(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.bincount(places[places >= 0], minlength=size)


def _share(flags: NDArray[np.bool_]) -> Proportion:
    return Proportion(int(flags.sum()), flags.size)


def _slice(found: Explanation, effect: float) -> SliceEffect:
    return SliceEffect(f"{found.slice.column}={found.slice.value}", found.rows, effect, found.explained)
