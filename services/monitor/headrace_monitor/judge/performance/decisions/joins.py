"""Join rows of the log with their outcomes, from Arrow to arrays. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from headrace_statistics.arrays import Codes
from headrace_statistics.calibration import Calibration
from headrace_statistics.sketches import features
from headrace_statistics.sketches.features import FeatureCounts

from headrace_monitor.judge.performance.decisions.means import Floats
from headrace_monitor.judge.performance.decisions.probabilities import ScoreColumns, summary_of
from headrace_monitor.judge.performance.decisions.summaries import Rows, Summary, summarise
from headrace_monitor.judge.references.columns import MonitoredColumn
from headrace_monitor.judge.references.feature_codes import FeatureCoding, coded
from headrace_monitor.record.log.decisions.class_names import Classes, quantity
from headrace_monitor.record.outcomes.store import ValuesByRow

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    *("prediction_id", "row", "answer_time", "version", "variant", "probability"),
    *("prediction_label", "prediction_value", "prediction_score"),
)
FEATURE = "feature."
# Further slices are summed up as one: slicing by a numeric column must not give a million groups.
MAX_SLICES = 100
# Rows of a batch whose features are counted.
FEATURE_ROWS = 10_000
OTHER_SLICES = "(other)"


class Group(NamedTuple):
    """Labels that predictions are summed by."""

    version: str
    variant: str
    slice: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """What is known of a version. calibration: of the score; None before there are labels enough. scores: where those
    of more than two classes are; None where there are none. coding: of its features; None without a reference.
    """

    classes: Classes
    calibration: Calibration | None = None
    scores: ScoreColumns | None = None
    coding: FeatureCoding | None = None


def summaries_of(
    batch: pa.RecordBatch,
    outcomes: ValuesByRow,
    about: Mapping[str, VersionInfo],
    *,
    slice_by: str,
    threshold: float | None,
    known_slices: set[str],
) -> dict[Group, Summary]:
    """Summarise rows of one file by version, variant and slice. known_slices: grows, up to MAX_SLICES."""
    members: dict[Group, list[int]] = defaultdict(list)
    versions, variants = _texts(batch, "version"), _texts(batch, "variant")
    for index, value in enumerate(slices_of(batch, slice_by)):
        if value not in known_slices:
            if len(known_slices) < MAX_SLICES:
                known_slices.add(value)
            else:
                value = OTHER_SLICES
        members[Group(versions[index], variants[index], value)].append(index)
    joined = JoinedRows.of(batch, outcomes)
    found = {}
    for group, indices in members.items():
        known = about.get(group.version, VersionInfo(Classes()))
        places = np.asarray(indices)
        rows, binary = joined.rows(places, known, threshold)
        summary = summarise(rows, binary=binary, threshold=threshold, calibration=known.calibration)
        if not slice_by and follows_features(known):
            summary = replace(summary, features=_features(batch, places, rows, known))
        if known.scores is not None:
            truth = joined.truth(places, known.classes, known.scores.classes)
            summary = replace(summary, classes=summary_of(batch, places, known.scores, truth, rows.weight))
        found[group] = summary
    return found


def follows_features(about: VersionInfo) -> bool:
    """Return whether estimates of a version follow its features: its calibration has them, in its reference's codes."""
    sample = None if about.calibration is None else about.calibration.sample
    return sample is not None and about.coding is not None and sample.coding == about.coding.digest


def features_of(about: VersionInfo) -> tuple[str, ...]:
    """Return the columns of the log that have a version's features, as far as these are coded."""
    return () if about.coding is None else about.coding.stored


def coded_rows(batch: pa.RecordBatch, places: np.ndarray, coding: FeatureCoding) -> Codes:
    """Return the codes of some rows' features."""
    import pyarrow as pa

    there = frozenset(batch.schema.names)

    def read(column: MonitoredColumn) -> pa.ChunkedArray | None:
        if column.stored not in there:
            return None
        return pa.chunked_array([batch.column(column.stored).take(pa.array(places))])

    return coded(coding, read, places.size)


def _features(batch: pa.RecordBatch, places: np.ndarray, rows: Rows, about: VersionInfo) -> FeatureCounts:
    """Count the features of the rows that have a score, of many every n-th."""
    assert about.coding is not None
    scored = np.flatnonzero(np.isfinite(rows.likely))
    every = max(-(-scored.size // FEATURE_ROWS), 1)
    weights = rows.weight[scored[::every]] * every
    return features.count(coded_rows(batch, places[scored[::every]], about.coding), weights, about.coding.digest)


def slices_of(batch: pa.RecordBatch, slice_by: str) -> list[str]:
    """Return the value of each row that is sliced by: of a feature, else of an attribute; empty where it has none."""
    from headrace_monitor.record.log.attributes import ATTRIBUTES, values_of_attribute

    names = batch.schema.names
    if not slice_by:
        return [""] * batch.num_rows
    if FEATURE + slice_by in names:
        return ["" if value is None else _text(value) for value in batch.column(FEATURE + slice_by).to_pylist()]
    if ATTRIBUTES in names:
        values = values_of_attribute(batch.column(ATTRIBUTES), slice_by)
        return [value or "" for value in values.to_pylist()]
    return [""] * batch.num_rows


@dataclass(frozen=True, slots=True)
class JoinedRows:
    """Columns of a batch, joined with the outcomes of its rows."""

    keys: Sequence[tuple[str, int]]
    weight: Floats
    predicted_label: Sequence[str | None]
    value: Floats
    score: Floats
    outcomes: ValuesByRow

    @classmethod
    def of(cls, batch: pa.RecordBatch, outcomes: ValuesByRow) -> JoinedRows:
        """Take the columns of a batch; those that a file does not have are unknown."""
        keys = list(zip(_texts(batch, "prediction_id"), batch.column("row").to_pylist(), strict=True))
        probability = _numbers(batch, "probability")
        weight = np.where((probability > 0) & (probability <= 1), 1 / np.maximum(probability, 1e-9), 1.0)
        labels = batch.column("prediction_label").to_pylist() if "prediction_label" in batch.schema.names else []
        return cls(
            keys,
            weight,
            labels or [None] * batch.num_rows,
            _numbers(batch, "prediction_value"),
            _numbers(batch, "prediction_score"),
            outcomes,
        )

    def truth(self, indices: np.ndarray, names: Classes, classes: int) -> Floats:
        """Return the index of each row's true class; -1 for a label that is no class, NaN without a label."""
        label_value = [self.outcomes.get(self.keys[index], {}).get("label") for index in indices]
        return np.array([np.nan if one is None else names.place(names.word(one), classes) for one in label_value])

    def rows(self, indices: np.ndarray, about: VersionInfo, threshold: float | None) -> tuple[Rows, bool]:
        """Return some rows, and whether their scores are those of the second of two classes."""
        known = [self.outcomes.get(self.keys[index], {}) for index in indices]
        guesses = [self.predicted_label[index] for index in indices]
        classes = any(guess is not None for guess in guesses)
        second, value = self.score[indices], self.value[indices]
        binary = bool(np.isfinite(second).any())
        unknown = np.full(indices.size, np.nan)
        right, label, answer = unknown.copy(), unknown.copy(), unknown.copy()
        for place, outcome in enumerate(known):
            label_value = outcome.get("label")
            if label_value is None:
                continue
            if not classes:
                number = quantity(label_value)
                label[place] = np.nan if number is None else number
                continue
            if guesses[place] is None:
                continue  # scores that were no numbers predicted nothing, neither right nor wrong
            word = about.classes.word(label_value)
            right[place] = word == guesses[place]
            answer[place] = (word == about.classes.yes) if binary else right[place]
        if binary and threshold is not None:
            decided = (second >= threshold) == (answer == 1)
            right = np.where(np.isfinite(answer) & np.isfinite(second), decided, np.nan)
        score = second if binary else (value if classes else unknown)
        likely = unknown if about.calibration is None else about.calibration.chances(score)
        chance, toward = likely, np.ones(indices.size)
        if binary:
            decided = np.array([guess == about.classes.yes for guess in guesses])
            toward = np.where(decided if threshold is None else second >= threshold, 1.0, -1.0)
            chance = np.where(toward > 0, likely, 1 - likely)
        rows = Rows(
            weight=self.weight[indices],
            predicted=unknown if classes else value,
            label=label,
            right=right,
            score=score,
            answer=answer,
            shown=second if binary else value,
            likely=likely,
            chance=chance,
            toward=toward,
            reward=_values_of(known, "reward"),
            conversion=_values_of(known, "conversion"),
        )
        return rows, binary


def _values_of(known: Sequence[Mapping[str, float | str]], kind: str) -> Floats:
    return np.array([_number(outcome.get(kind)) for outcome in known], dtype=np.float64)


def _number(value: float | str | None) -> float:
    return np.nan if value is None or isinstance(value, str) else value


def _numbers(batch: pa.RecordBatch, name: str) -> Floats:
    if name not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(batch: pa.RecordBatch, name: str) -> list[str]:
    return [value or "" for value in batch.column(name).to_pylist()]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
