"""How well a model answers: accuracy, calibration, the worst slice, and the largest difference to the original."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

# A slice with fewer rows says little: one of 20 answers is 5 % of it.
MIN_SLICE_ROWS = 20
MAX_SLICED_COLUMNS = 64
CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answers to all rows, by output. prediction: the output that is the prediction."""

    outputs: Mapping[str, np.ndarray]
    prediction: str

    @property
    def scores(self) -> np.ndarray | None:
        """Return the output with a score for each class; None where there is none."""
        wide = (one for one in self._ordered if one.ndim == 2 and one.shape[1] > 1 and one.dtype.kind == "f")
        return next(wide, None)

    @property
    def classes(self) -> np.ndarray:
        """Return the class of each row: a label that the model gives, or where its largest score is."""
        first = self._ordered[0]
        if first.dtype.kind not in "f":
            return first.reshape(len(first), -1)[:, 0]
        scores = self.scores
        if scores is not None:
            return np.argmax(scores, axis=1)
        return (first.reshape(len(first), -1)[:, 0] >= 0.5).astype(np.int64)

    @property
    def values(self) -> np.ndarray:
        """Return the one number of each row."""
        return self._ordered[0].reshape(len(self._ordered[0]), -1)[:, 0].astype(np.float64)

    @property
    def _ordered(self) -> list[np.ndarray]:
        first = self.outputs.get(self.prediction)
        rest = [values for name, values in self.outputs.items() if name != self.prediction]
        return rest if first is None else [first, *rest]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one kind, and how well both models answer these."""

    name: str
    rows: int
    original: float
    candidate: float

    @property
    def drop(self) -> float:
        return self.original - self.candidate


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a model answers.

    accuracy: the share of right classes, or R² of quantities; against the labels, or without any against the original.
    calibration_error: how far confidence and the share of right answers are apart, None where nothing is known of it.
    largest_difference: of any value of any output. worst: the slice whose accuracy drops most, None without slices.
    """

    accuracy: float
    largest_difference: float
    calibration_error: float | None = None
    worst: Slice | None = None


def judge(
    original: Answers,
    candidate: Answers,
    *,
    classifies: bool,
    labels: Sequence[object] | None,
    names: Sequence[str] = (),
    slices: Mapping[str, np.ndarray] | None = None,
) -> Quality:
    """Return the quality of a candidate.

    labels: the truth of each row, None where it is not known: then the original is taken for right. names: of the
    classes, by the number that a model gives. slices: rows of one kind, as masks.
    """
    truth = _truth(original, classifies, labels, names)
    hits = [_hits(one, truth, classifies, names) for one in (original, candidate)]
    worst = max(
        (
            Slice(name, int(rows.sum()), *(_accuracy(hit[rows], truth[rows], classifies) for hit in hits))
            for name, rows in (slices or {}).items()
            if rows.sum() >= MIN_SLICE_ROWS
        ),
        key=lambda one: (one.drop, -one.candidate),
        default=None,
    )
    return Quality(
        accuracy=_accuracy(hits[1], truth, classifies),
        largest_difference=largest_difference(original.outputs, candidate.outputs),
        calibration_error=_calibration_error(candidate, hits[1]) if classifies and labels is not None else None,
        worst=worst,
    )


def worst_of(found: Sequence[Quality]) -> Quality:
    """Return the least accurate of some, with the largest difference of all and the slice that drops most."""
    slices = [one.worst for one in found if one.worst is not None]
    return replace(
        min(found, key=lambda one: one.accuracy),
        largest_difference=max(one.largest_difference for one in found),
        worst=max(slices, key=lambda one: (one.drop, -one.candidate), default=None),
    )


def largest_difference(original: Mapping[str, np.ndarray], candidate: Mapping[str, np.ndarray]) -> float:
    """Return the largest difference of any number; infinite where only one of two is a number, or shapes differ.

    Whole numbers count where nothing else is answered: beside scores they are classes, which accuracy counts.
    """
    largest, floats = 0.0, any(one.dtype.kind == "f" for one in original.values())
    for name, wanted in original.items():
        found = candidate.get(name)
        if found is None or found.shape != wanted.shape:
            return math.inf
        if wanted.dtype.kind not in ("f" if floats else "fiub"):
            continue
        before, after = wanted.astype(np.float64), found.astype(np.float64)
        apart = ~((before == after) | (np.isnan(before) & np.isnan(after)))
        if apart.any():
            difference = float(np.max(np.abs(before[apart] - after[apart])))
            if math.isnan(difference):
                return math.inf
            largest = max(largest, difference)
    return largest


def slices_of(inputs: Mapping[str, np.ndarray], columns: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Return rows of one kind, as masks by name: of each value of a column with few, of each quarter of one with many.

    columns: names of the values of an input, where they have some.
    """
    found: dict[str, np.ndarray] = {}
    for name, values in _columns(inputs, columns):
        kinds = np.unique(values) if values.dtype.kind not in "f" else np.unique(values[~np.isnan(values)])
        if len(kinds) < 2:
            continue
        if len(kinds) <= 10:
            found.update({f"{name} = {kind}": values == kind for kind in kinds})
            continue
        if values.dtype.kind not in "fiu":
            continue
        low, high = np.nanquantile(values.astype(np.float64), (0.25, 0.75))
        found[f"{name} <= {low:.4g}"] = values <= low
        found[f"{name} > {high:.4g}"] = values > high
    return found


def _columns(
    inputs: Mapping[str, np.ndarray], columns: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in inputs.items():
        flat = array.reshape(len(array), -1)
        if flat.shape[1] > MAX_SLICED_COLUMNS:
            continue
        named = columns.get(name, ())
        for at in range(flat.shape[1]):
            column = named[at] if at < len(named) else name if flat.shape[1] == 1 else f"{name}[{at}]"
            yield column, flat[:, at].astype(str) if flat.dtype == object else flat[:, at]


def _truth(original: Answers, classifies: bool, labels: Sequence[object] | None, names: Sequence[str]) -> np.ndarray:
    if not classifies:
        return original.values if labels is None else np.asarray(labels, np.float64)
    return _as_names(original.classes if labels is None else np.asarray(labels), names)


def _hits(answers: Answers, truth: np.ndarray, classifies: bool, names: Sequence[str]) -> np.ndarray:
    """Return for each row whether the class is right, or the square of the error."""
    if classifies:
        return _as_names(answers.classes, names) == truth
    return np.square(answers.values - truth)


def _as_names(classes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return classes as texts: names where numbers stand for some."""
    if classes.dtype.kind in "iu" and names:
        return np.array([names[one] if 0 <= one < len(names) else str(one) for one in classes.tolist()])
    return classes.astype(str)


def _accuracy(hits: np.ndarray, truth: np.ndarray, classifies: bool) -> float:
    if classifies:
        return float(np.mean(hits))
    spread = float(np.mean(np.square(truth - np.mean(truth))))
    # Where all are the same, an error is large or small beside what they are.
    return 1.0 - float(np.mean(hits)) / (spread or float(np.mean(np.square(truth))) or 1.0)


def _calibration_error(answers: Answers, hits: np.ndarray) -> float | None:
    """Return the expected calibration error over bins of equally many rows; None without probabilities."""
    scores = answers.scores
    if scores is None or scores.min() < 0 or not np.allclose(scores.sum(axis=1), 1.0, atol=0.01):
        return None
    confidence = scores.max(axis=1)
    bins = np.array_split(np.argsort(confidence, kind="stable"), CALIBRATION_BINS)
    gaps = [abs(float(confidence[rows].mean() - hits[rows].mean())) * len(rows) for rows in bins if len(rows)]
    return sum(gaps) / len(hits)
