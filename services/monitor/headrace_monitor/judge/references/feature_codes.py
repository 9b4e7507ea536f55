"""Code the features of rows by a frozen reference, a byte each, for calibrations that follow shifted features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from headrace_statistics.arrays import Codes
from headrace_statistics.references import CategoricalReference, ColumnReference, NumericReference
from headrace_statistics.sketches.features import CODES

from headrace_monitor.judge.references.columns import MonitoredColumn

if TYPE_CHECKING:
    import pyarrow as pa

# Of more features the first are coded.
MAX_FEATURES = 32
_REST = CODES - 1


@dataclass(frozen=True, slots=True, eq=False)
class FeatureCoding:
    """features: with what they were frozen as. digest: names the codes; those of another digest mean something else."""

    features: tuple[tuple[MonitoredColumn, NumericReference | CategoricalReference], ...]
    digest: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features."""
        return tuple(column.name for column, _ in self.features)

    @property
    def stored(self) -> tuple[str, ...]:
        """Return their columns of the log."""
        return tuple(column.stored for column, _ in self.features)


def coding_of(columns: Sequence[MonitoredColumn], frozen: Mapping[str, ColumnReference]) -> FeatureCoding | None:
    """Return how features are coded; None where the reference has none that are numbers or categories."""
    features = []
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        reference = frozen.get(column.name)
        if column.prediction or not isinstance(reference, NumericReference | CategoricalReference):
            continue
        features.append((column, reference))
        of = reference.edges.digest if isinstance(reference, NumericReference) else reference.categories.digest
        digest.update(f"{column.name}\0{of}\0".encode("utf-8", "surrogatepass"))
        if len(features) == MAX_FEATURES:
            break
    return FeatureCoding(tuple(features), digest.hexdigest()) if features else None


def coded(coding: FeatureCoding, read: Callable[[MonitoredColumn], pa.ChunkedArray | None], rows: int) -> Codes:
    """Return the codes of rows, shape (rows, features). read: a column's values, None where there is none."""
    found = np.zeros((rows, len(coding.features)), dtype=np.uint8)
    for place, (column, reference) in enumerate(coding.features):
        array = read(column)
        if array is not None:
            found[:, place] = _codes(column, reference, array)
    return found


def _codes(
    column: MonitoredColumn, reference: NumericReference | CategoricalReference, array: pa.ChunkedArray
) -> np.ndarray:
    """Return the codes of a column; 0 for what is missing or cannot be read."""
    from headrace_monitor.judge.references.values import UnusableColumnError, coded_names, numbers

    try:
        if isinstance(reference, NumericReference):
            values = numbers(array)
            groups = reference.groups[np.searchsorted(reference.edges.inner, values)]
            return np.where(np.isnan(values), 0, np.minimum(groups + 1, _REST)).astype(np.uint8)
        places, names = coded_names(array, column.datatype)
        # The last place is of rows without a name.
        known = {name: code for code, name in enumerate(reference.categories.names[: _REST - 1], start=1)}
        return np.array([*(known.get(name, _REST) for name in names), 0], dtype=np.uint8)[places]
    except UnusableColumnError:
        return np.zeros(len(array), dtype=np.uint8)
