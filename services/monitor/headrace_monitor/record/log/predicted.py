"""What was predicted: label, value and score of each row, as the contract's task, output and labels say.

| task | prediction output | label | value | score |
| --- | --- | --- | --- | --- |
| classification | scores of two or more classes | the class of the highest | its score | of the second of two classes |
| classification | one float: the score of the second of two classes | by 0.5 | score of the label | it |
| classification | the label: text, or an index | it | its score, from the one output of scores | the second's, too |
| regression, ranking | one number | | it | |
| not declared | as classification where there are labels or text, else as regression | | | |

What is not in the table, and NaN among scores, is no prediction: nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from headrace.tensor.v1 import tensor_pb2

from headrace_monitor.record.log.raw_values import Values, as_floats

THRESHOLD = 0.5

_NONE = np.array(None, dtype=object)

Contract = tensor_pb2.ServingContract
Task = Contract.Task


class PredictionColumns(NamedTuple):
    """Of each row. label: text or None. value, score: NaN where there is none. known: rows that were predicted."""

    label: np.ndarray | None
    value: np.ndarray | None
    score: np.ndarray | None
    known: np.ndarray


def predicted(contract: Contract, outputs: Mapping[str, Values]) -> PredictionColumns | None:
    """Return the prediction columns of the outputs that may be stored; None if the task does not define them."""
    name = prediction_output(contract)
    found = outputs.get(name)
    if found is None or not found.array.size:
        return None
    known = np.ones(len(found.array), dtype=bool) if found.unreadable is None else ~found.unreadable
    task = _task(contract, found)
    if task == Task.TASK_CLASSIFICATION:
        return _class(contract.labels, name, found, known, outputs)
    if found.is_text or found.array.shape[1] != 1:
        return None
    return PredictionColumns(None, as_floats(found.array[:, 0], np.float64), None, known)


def prediction_output(contract: Contract) -> str:
    """Return the name of the output that is the prediction."""
    return contract.prediction or (contract.outputs[0].name if contract.outputs else "")


def _task(contract: Contract, found: Values) -> Task:
    if contract.task != Task.TASK_UNSPECIFIED:
        return contract.task
    is_label = found.is_text or len(contract.labels) > 0
    return Task.TASK_CLASSIFICATION if is_label else Task.TASK_REGRESSION


def _class(
    labels: Sequence[str], name: str, found: Values, known: np.ndarray, outputs: Mapping[str, Values]
) -> PredictionColumns | None:
    array, classes = found.array, found.array.shape[1]
    if classes > 1:
        return None if found.is_text else _of_scores(labels, array, known)
    if array.dtype.kind == "f" and len(labels) in (0, 2):
        second = as_floats(array[:, 0], np.float64)
        return _of_scores(labels, np.column_stack([1.0 - second, second]), known, threshold=THRESHOLD)
    return _of_labels(labels, array[:, 0], known, _scores_beside(name, labels, outputs))


def _of_scores(
    labels: Sequence[str], scores: np.ndarray, known: np.ndarray, *, threshold: float | None = None
) -> PredictionColumns:
    scores = as_floats(scores, np.float64)
    known = known & ~np.isnan(scores).any(axis=1)
    best = np.where(known, _highest(scores), 0) if threshold is None else (scores[:, 1] >= threshold).astype(int)
    value = scores[np.arange(len(scores)), best]
    score = scores[:, 1] if scores.shape[1] == 2 else None
    return PredictionColumns(_names(labels, best, known), value, score, known)


def _of_labels(
    labels: Sequence[str], array: np.ndarray, known: np.ndarray, scores: np.ndarray | None
) -> PredictionColumns:
    """Return predictions whose labels are given; scores: of their classes, as another output says, or None."""
    if array.dtype.kind == "O":
        places = {label: index for index, label in enumerate(labels)}
        indexes = np.array([places.get(name, -1) for name in array], dtype=np.int64)
        names = np.where(known, array, _NONE)
    else:
        indexes = _whole(array)
        known = known & (indexes == array)
        names = _names(labels, indexes, known)
    if scores is None:
        return PredictionColumns(names, None, None, known)
    inside = known & (indexes >= 0) & (indexes < scores.shape[1])
    own = scores[np.arange(len(scores)), np.where(inside, indexes, 0)]
    return PredictionColumns(
        names, np.where(inside, own, np.nan), scores[:, 1] if scores.shape[1] == 2 else None, known
    )


def _scores_beside(name: str, labels: Sequence[str], outputs: Mapping[str, Values]) -> np.ndarray | None:
    """Return the scores of the classes when exactly one other output can be them, as converters write both."""
    fitting = [
        other.array
        for output, other in outputs.items()
        if output != name and other.array.dtype.kind == "f" and _fits(other.array.shape[1], len(labels))
    ]
    return as_floats(fitting[0], np.float64) if len(fitting) == 1 else None


def _fits(width: int, labels: int) -> bool:
    return width == labels if labels else width > 1


def _highest(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)


def _whole(array: np.ndarray) -> np.ndarray:
    """Return numbers as indexes; what can be none, such as NaN, differs from its index."""
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    return np.clip(np.nan_to_num(as_floats(array, np.float64), nan=-1.0), -1.0, 2.0**31).astype(np.int64)


def _names(labels: Sequence[str], indexes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the classes' names, or their indexes as text where they have none."""
    unique, places = np.unique(indexes, return_inverse=True)
    texts = [labels[index] if 0 <= index < len(labels) else str(index) for index in unique.tolist()]
    return np.where(known, np.array(texts, dtype=object)[places], _NONE)
