"""Whether the answers of a run are distributed as those of the run that was published before. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from headrace_statistics import references, serialization
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.drift.reports import DriftReport
from headrace_statistics.drift.tolerances import Tolerances
from headrace_statistics.references import ColumnReference, Reference, Source
from numpy.typing import ArrayLike, NDArray

from headrace_scorer.decisions.comparisons import Drifted

# Limit of the elements of an output that are monitored: an embedding of a thousand is not a thousand columns.
MAX_COLUMNS = 32
# Chance that a run whose answers have not changed is held.
LEVEL = 0.01
MIN_ROWS = 50


def frozen(outputs: Mapping[str, ArrayLike], name: str, at: datetime) -> str:
    """Return what the answers of the next run are held against, as JSON. name: of this run."""
    columns: dict[str, ColumnReference] = {}
    for column, values in _columns(outputs):
        if len(values) >= MIN_ROWS:
            numeric = values.dtype.kind in "iuf"
            columns[column] = references.freeze_numeric(values) if numeric else references.freeze_categorical(values)
    return serialization.to_json(Reference(Source.WINDOW, name, at, columns, {}))


def drifted(reference: str, outputs: Mapping[str, ArrayLike], tolerance: float | None = None) -> tuple[Drifted, ...]:
    """Return the columns that differ from `frozen`'s by more than what is tolerated, the largest change first.

    tolerance: of the stability index; None is the library's own. A column that one of both lacks is not judged.
    """
    frozen_before: Reference = serialization.from_json(reference)
    window = {
        column: references.summarise(frozen_before.columns[column], values)
        for column, values in _columns(outputs)
        if column in frozen_before.columns
    }
    tolerances = Tolerances() if tolerance is None else Tolerances(tolerance, tolerance, tolerance, tolerance)
    reports = evaluate(frozen_before, window, level=LEVEL, tolerances=tolerances, predictions=window)
    alarms = sorted((one for one in reports if one.alarm), key=lambda one: -one.severity.value)
    return tuple(map(_told, alarms))


def _columns(outputs: Mapping[str, ArrayLike]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the elements of each output as columns: `scores[0]`, or `label` where there is one alone."""
    for name, values in sorted(outputs.items()):
        rows = np.asarray(values)
        flat = rows.reshape(len(rows), -1)
        if flat.dtype.kind in "SO":
            flat = np.array([[_text(one) for one in row] for row in flat], object).reshape(flat.shape)
        for at in range(min(flat.shape[1], MAX_COLUMNS)):
            yield (name if flat.shape[1] == 1 else f"{name}[{at}]"), flat[:, at]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _told(report: DriftReport) -> Drifted:
    test, severity = report.test.value, report.severity.name.lower()
    return Drifted(report.column, test, float(report.effect or 0.0), report.tolerance, severity)
