"""Calibrate a version's scores on a reference that has scores and labels, before labels of predictions come.

The labels are a column `outcome.label`, as names or indexes, like outcomes. Read in a child process.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from headrace.tensor.v1 import tensor_pb2
from headrace_statistics.calibration import Calibration, calibrate
from headrace_statistics.inconclusive import NotEnoughData, OneClass, Unreadable
from headrace_statistics.references import ColumnReference
from headrace_statistics.sketches.features import LabelledRows, labelled_rows

from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.conversion import as_logged
from headrace_monitor.judge.references.feature_codes import FeatureCoding, coded, coding_of
from headrace_monitor.judge.references.reference_tables import MAX_CELLS, Place, Table
from headrace_monitor.judge.references.values import UnusableColumnError, elements, matrix, numbers
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_monitor.record.log.predicted import PredictionColumns, predicted
from headrace_monitor.record.log.raw_values import Values, is_float, rounded

LABEL = "outcome.label"
MAX_ROWS = 100_000

CalibrationResult = Calibration | NotEnoughData | OneClass | Unreadable


def calibrated(
    table: Table,
    contract: tensor_pb2.ServingContract,
    columns: Sequence[MonitoredColumn],
    places: Mapping[str, Place],
    frozen: Mapping[str, ColumnReference],
) -> CalibrationResult:
    """Return how the scores in a file with labels are calibrated, or why nothing can be said.

    columns: those of the contract. places: where they are in the file, by name. frozen: what was frozen of it.
    """
    by_tensor: dict[str, list[MonitoredColumn]] = {}
    for column in columns:
        if column.prediction and column.name in places and column.index is not None:
            by_tensor.setdefault(column.tensor, []).append(column)
    # If columns of a tensor are missing, the class of a score is unknown.
    by_tensor = {tensor: part for tensor, part in by_tensor.items() if len(part) == part[0].width}
    coding = coding_of(columns, frozen)
    features = [] if coding is None else [column.width or 1 for column, _ in coding.features]
    width = max(sum(len(part) for part in by_tensor.values()), *features, 0)
    most = max(min(MAX_ROWS, MAX_CELLS // max(width, 1)), 1)
    try:
        outputs = {tensor: _values(table, part, places, most) for tensor, part in by_tensor.items()}
    except UnusableColumnError as error:
        return Unreadable(str(error))
    found = predicted(contract, outputs)
    if found is None or found.value is None or found.label is None:
        return Unreadable("the file has labels, but no scores of classes beside them")
    labels = table.column(LABEL, 1, most=most).to_pylist()
    score, answer = _pairs(found, labels, Classes(tuple(contract.labels)))
    return calibrate(score, answer, sample=_sample(table, score, answer, coding, places, most))


def _sample(
    table: Table,
    score: np.ndarray,
    answer: np.ndarray,
    coding: FeatureCoding | None,
    places: Mapping[str, Place],
    most: int,
) -> LabelledRows | None:
    """Return the rows with their features; those of lists that differ in length are unknown."""
    if coding is None:
        return None

    @functools.lru_cache(maxsize=1)  # features of one list stand side by side
    def whole(name: str, width: int) -> pa.ChunkedArray:
        return table.column(name, width, most=most)

    def read(column: MonitoredColumn) -> pa.ChunkedArray | None:
        place, width = places[column.name], column.width or 1
        array = whole(place.name, width)
        if place.index is not None:
            flat, others = elements(array, width)
            if others:
                return None
            array = flat.take(pa.array(np.arange(place.index, len(flat), width)))
        return as_logged(array, column.datatype)

    codes = coded(coding, read, score.size)
    return labelled_rows(score, answer, codes, coding.names, coding.digest)


def _pairs(found: PredictionColumns, labels: Sequence[object], classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and answers: of the second of two classes, else whether the one that was predicted was right."""
    assert found.value is not None
    assert found.label is not None
    answer = np.full(len(labels), np.nan)
    for row, label in enumerate(labels):
        word = _word(label, classes)
        if word is not None and found.known[row]:
            answer[row] = word == (classes.yes if found.score is not None else found.label[row])
    return found.value if found.score is None else found.score, answer


def _word(label: object, classes: Classes) -> str | None:
    match label:
        case bool() | int():
            return classes.word(float(label))
        case float() if np.isfinite(label):
            return classes.word(label)
        case str():
            return classes.word(label)
        case bytes():
            return classes.word(label.decode(errors="replace"))
    return None


def _values(table: Table, part: Sequence[MonitoredColumn], places: Mapping[str, Place], most: int) -> Values:
    """Return the values of an output, as far as the file has its columns."""
    read = [
        _read(table, column, places[column.name], most) for column in sorted(part, key=lambda each: each.index or 0)
    ]
    return Values(np.column_stack(read), None)


def _read(table: Table, column: MonitoredColumn, place: Place, most: int) -> np.ndarray:
    if place.index is not None:
        rows = table.column(place.name, column.width or 1, most=most)
        fit, others = matrix(rows, column.width or 1)
        if others:
            raise UnusableColumnError(f"rows of {place.name} differ in length")
        return rounded(fit[:, place.index], column.datatype)
    array = as_logged(table.column(place.name, 1, most=most), column.datatype)
    if column.datatype == "BYTES":
        return np.array([_text(value) for value in array.to_pylist()], dtype=object)
    read = numbers(array)
    return read if is_float(column.datatype) else _whole(read)


def _text(value: object) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)


def _whole(read: np.ndarray) -> np.ndarray:
    if not np.isfinite(read).all() or (read != np.rint(read)).any():
        raise UnusableColumnError("a label that was predicted is no whole number")
    return np.clip(read, -(2.0**53), 2.0**53).astype(np.int64)
