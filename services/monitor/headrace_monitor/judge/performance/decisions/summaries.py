"""Summarise rows as mergeable sums that measures are computed from. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from headrace_statistics.arrays import floats
from headrace_statistics.calibration import Calibration
from headrace_statistics.sketches import scores
from headrace_statistics.sketches.features import FeatureCounts
from headrace_statistics.sketches.scores import ScoreCounts

from headrace_monitor.judge.performance.decisions.means import Floats, Mean, mean_of
from headrace_monitor.judge.performance.decisions.probabilities import ClassSummary

T = TypeVar("T")

DEFAULT_THRESHOLD = 0.5
# A score of exactly 0 or 1 that is wrong costs this much log-loss, not infinity.
_CLIP = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one version, variant and slice; NaN is unknown.

    weight: rows that each stands for. predicted, label: of a quantity. right: 1 where the predicted class was the true
    one. score: of the second of two classes, else of the predicted one. answer: what the score is about: 1 where it was
    the second class, or right. shown: what `prediction_mean` is about. likely: the chance that the answer is 1,
    estimated from the score. chance: of being right, likewise. toward: 1 where that rises with `likely`, -1 where it
    falls. reward, conversion: as reported.
    """

    weight: Floats
    predicted: Floats
    label: Floats
    right: Floats
    score: Floats
    answer: Floats
    shown: Floats
    likely: Floats
    chance: Floats
    toward: Floats
    reward: Floats
    conversion: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """labelled: 1 or 0 for each row, so its weight is the number of rows that these stand for. doubt: variance of being
    right, by the estimated chance. scores: by their answers; None while there are none. expected: by the chance of that
    answer; None but for two classes. binary: whether scores are those of the second of two classes. classes: of the
    probabilities of more than two; None where there are none. leverage: of the calibration's chances on that of being
    right. spread: rows by their scores, shared out to the calibration's knots. features: of the rows, None where
    estimates do not follow them.
    """

    labelled: Mean = field(default_factory=Mean)
    right: Mean = field(default_factory=Mean)
    error: Mean = field(default_factory=Mean)
    absolute: Mean = field(default_factory=Mean)
    squared: Mean = field(default_factory=Mean)
    loss: Mean = field(default_factory=Mean)
    score: Mean = field(default_factory=Mean)
    shown: Mean = field(default_factory=Mean)
    chance: Mean = field(default_factory=Mean)
    doubt: Mean = field(default_factory=Mean)
    leverage: Floats | None = None
    spread: Floats | None = None
    features: FeatureCounts | None = None
    reward: Mean = field(default_factory=Mean)
    conversion: Mean = field(default_factory=Mean)
    scores: ScoreCounts | None = None
    expected: ScoreCounts | None = None
    binary: bool = False
    classes: ClassSummary | None = None

    def merge(self, other: Summary) -> Summary:
        """Add up. Raises ValueError for scores counted with other thresholds, or of another number of classes."""
        means = {name: getattr(self, name).merge(getattr(other, name)) for name in _MEANS}
        return Summary(
            **means,
            leverage=_both(self.leverage, other.leverage, _added),
            spread=_both(self.spread, other.spread, _added),
            features=_both(self.features, other.features, FeatureCounts.merge),
            scores=_both(self.scores, other.scores, ScoreCounts.merge),
            expected=_both(self.expected, other.expected, ScoreCounts.merge),
            binary=self.binary or other.binary,
            classes=_both(self.classes, other.classes, ClassSummary.merge),
        )


_MEANS = (
    *("labelled", "right", "error", "absolute", "squared", "loss", "score", "shown", "chance", "doubt"),
    *("reward", "conversion"),
)


def _both(one: T | None, other: T | None, merge: Callable[[T, T], T]) -> T | None:
    if one is None or other is None:
        return one if other is None else other
    return merge(one, other)


def _added(one: Floats, other: Floats) -> Floats:
    """Raises ValueError for those of calibrations with other knots."""
    return one + other


def summarise(rows: Rows, *, binary: bool, threshold: float | None, calibration: Calibration | None = None) -> Summary:
    """Summarise rows. binary: whether the scores are those of the second of two classes."""
    weight = rows.weight
    with np.errstate(over="ignore", invalid="ignore"):
        error = rows.predicted - rows.label
        squared = error**2
        clipped = np.clip(rows.score, _CLIP, 1 - _CLIP)
        loss = -(rows.answer * np.log(clipped) + (1 - rows.answer) * np.log1p(-clipped))
    labelled = (np.isfinite(rows.right) | np.isfinite(error)).astype(np.float64)
    return Summary(
        labelled=mean_of(labelled, weight),
        right=mean_of(rows.right, weight),
        error=mean_of(error, weight),
        absolute=mean_of(np.abs(error), weight),
        squared=mean_of(squared, weight),
        loss=mean_of(loss, weight),
        score=mean_of(rows.score, weight),
        shown=mean_of(rows.shown, weight),
        chance=mean_of(rows.chance, weight),
        doubt=mean_of(rows.chance * (1 - rows.chance), weight),
        leverage=None if calibration is None else calibration.leverage(rows.score, rows.toward * weight),
        spread=None if calibration is None else calibration.leverage(rows.score, weight),
        reward=mean_of(rows.reward, weight),
        conversion=mean_of(rows.conversion, weight),
        scores=_counted(rows.score, rows.answer, weight, threshold),
        expected=_counted(rows.score, rows.likely, weight, threshold) if binary else None,
        binary=binary,
    )


def _counted(score: Floats, chance: Floats, weight: Floats, threshold: float | None) -> ScoreCounts | None:
    if not (np.isfinite(score) & np.isfinite(chance)).any():
        return None
    return scores.count(score, chance, weight, scores.grid(DEFAULT_THRESHOLD if threshold is None else threshold))


def scaled(counts: ScoreCounts, factor: float) -> ScoreCounts:
    """Return the counts as if every row stood for `factor` rows."""
    if factor == 1:
        return counts
    return replace(
        counts,
        yes=floats(counts.yes * factor),
        no=floats(counts.no * factor),
        scores=floats(counts.scores * factor),
    )
