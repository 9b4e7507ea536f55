"""Probabilities of more than two classes: their columns in the log, and their sums with labels. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from headrace.tensor.v1 import tensor_pb2
from headrace_statistics.sketches import class_scores
from headrace_statistics.sketches.class_scores import MAX_CLASSES, ClassScores

from headrace_monitor.judge.performance.decisions.means import Floats, Mean, mean_of
from headrace_monitor.record.log.columns import OUTPUT_PREFIX, Column, values_per_row
from headrace_monitor.record.log.predicted import prediction_output

if TYPE_CHECKING:
    import pyarrow as pa

Contract = tensor_pb2.ServingContract
Task = Contract.Task

_FLOATS = frozenset(("FP16", "BF16", "FP32", "FP64"))


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """Where the scores of a version's classes are. names: a column of the log for each class, or one of lists; none
    where there are more than MAX_CLASSES.
    """

    names: tuple[str, ...]
    classes: int


@dataclass(frozen=True, slots=True, eq=False)
class ClassSummary:
    """classes: how many there are. counts: None where they are more than MAX_CLASSES. loss: of rows counted."""

    classes: int
    counts: ClassScores | None = None
    loss: Mean = field(default_factory=Mean)

    def merge(self, other: ClassSummary) -> ClassSummary:
        """Add up. Raises ValueError for other numbers of classes."""
        counted = self.counts or other.counts
        if self.counts is not None and other.counts is not None:
            counted = self.counts.merge(other.counts)
        return ClassSummary(self.classes, counted, self.loss.merge(other.loss))


def score_columns(contract: Contract, outputs: Sequence[Column]) -> ScoreColumns | None:
    """Return where the log has the scores of more than two classes, as `log.predicted` finds them; None where there are
    none. outputs: those that may be stored.
    """
    stored = {column.tensor for column in outputs}
    specs = {spec.name: spec for spec in contract.outputs if spec.name in stored}
    name = prediction_output(contract)
    if name not in specs or not _classifies(contract, specs[name]):
        return None
    if not _has_scores(specs[name], ()):
        fitting = [other for other, spec in specs.items() if other != name and _has_scores(spec, contract.labels)]
        if len(fitting) != 1:
            return None
        name = fitting[0]
    classes = values_per_row(specs[name].shape) or len(contract.labels)
    if classes <= 2:
        return None
    of_it = tuple(OUTPUT_PREFIX + column.name for column in outputs if column.tensor == name)
    return ScoreColumns(of_it if classes <= MAX_CLASSES else (), classes)


def summary_of(
    batch: pa.RecordBatch, rows: np.ndarray, at: ScoreColumns, truth: Floats, weights: Floats
) -> ClassSummary:
    """Summarise those of some rows that have a label. truth: place of each one's true class, -1 for a label that is
    none, NaN without one.
    """
    if not at.names:
        return ClassSummary(at.classes)
    labelled = np.flatnonzero(np.isfinite(truth))
    chances, true = _scores(batch, rows[labelled], at), truth[labelled].astype(np.int64)
    counted = class_scores.count(chances, true, weights[labelled])
    return ClassSummary(at.classes, counted, mean_of(class_scores.log_losses(chances, true), weights[labelled]))


def _classifies(contract: Contract, prediction: tensor_pb2.TensorSpec) -> bool:
    if contract.task != Task.TASK_UNSPECIFIED:
        return contract.task == Task.TASK_CLASSIFICATION
    return len(contract.labels) > 0 or prediction.datatype == "BYTES"


def _has_scores(spec: tensor_pb2.TensorSpec, labels: Sequence[str]) -> bool:
    """Return whether an output can be scores of classes: of the labels, where there are any."""
    width = values_per_row(spec.shape)
    return spec.datatype in _FLOATS and (width is None or (width == len(labels) if labels else width > 1))


def _scores(batch: pa.RecordBatch, rows: np.ndarray, at: ScoreColumns) -> Floats:
    """Return scores, shape (rows, classes); NaN for rows that have not as many."""
    if any(name not in batch.schema.names for name in at.names):
        return np.full((rows.size, at.classes), np.nan)
    if len(at.names) == at.classes:
        columns = [batch.column(name).take(rows).to_numpy(zero_copy_only=False) for name in at.names]
        return np.column_stack(columns).astype(np.float64)
    return _from_lists(batch.column(at.names[0]).take(rows), at.classes)


def _from_lists(column: pa.Array, classes: int) -> Floats:
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    whole = lengths == classes
    scores = np.full((lengths.size, classes), np.nan)
    flat = column.filter(whole).flatten().to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
    scores[whole] = flat.astype(np.float64).reshape(-1, classes)
    return scores
