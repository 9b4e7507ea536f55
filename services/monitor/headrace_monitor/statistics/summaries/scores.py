"""Scores of a binary question with its answers, counted on frozen score bins: from them come accuracy, AUC and
calibration.

The question is whatever the score is the probability of: "is it fraud?", or, for any number of classes, "was the
predicted class right?" with the predicted class's probability as the score.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headrace_monitor.statistics.arrays import Floats, finite, floats
from headrace_monitor.statistics.unsaid import NotEnoughData, OneClass, Unsaid

SCORE_BINS = 256
# A score of exactly 0 or 1 that is wrong costs this much log-loss, not infinity.
_CLIP = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBins:
    """inner: edges, ascending; bin k is [inner[k-1], inner[k]). threshold: an edge; scores from it on mean yes."""

    inner: Floats
    threshold: float

    @property
    def bins(self) -> int:
        return self.inner.size + 1

    @property
    def first_yes(self) -> int:
        """The first bin that means yes."""
        return int(np.searchsorted(self.inner, self.threshold, side="left")) + 1

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.inner.tobytes() + repr(self.threshold).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCounts:
    """yes, no: shape (bins,), rows by what was true; whole numbers where it is known, expected ones where it is
    estimated.

    scores: shape (bins,), sums of scores. log_loss, squared: sums over rows. unusable: rows without a score or an
    answer.
    """

    yes: Floats
    no: Floats
    scores: Floats
    log_loss: float
    squared: float
    unusable: int
    bins: str

    @property
    def rows(self) -> float:
        return float(self.yes.sum() + self.no.sum())

    def merge(self, other: "ScoreCounts") -> "ScoreCounts":
        """Add up. Raises ValueError for counts on other bins."""
        if self.bins != other.bins:
            raise ValueError(f"counts on score bins {self.bins} and {other.bins} cannot be added")
        return ScoreCounts(
            floats(self.yes + other.yes),
            floats(self.no + other.no),
            floats(self.scores + other.scores),
            self.log_loss + other.log_loss,
            self.squared + other.squared,
            self.unusable + other.unusable,
            self.bins,
        )


def freeze(scores: ArrayLike, *, threshold: float = 0.5) -> ScoreBins:
    """Return bins at the quantiles of a reference's scores."""
    array = np.sort(finite(scores))
    quantiles = array[np.arange(1, SCORE_BINS) * array.size // SCORE_BINS] if array.size else array
    return ScoreBins(floats(np.union1d(quantiles, [threshold])), threshold)


def count(scores: ArrayLike, answers: ArrayLike, bins: ScoreBins) -> ScoreCounts:
    """Count scores, shape (n,), by their answers: 1 or True is yes, 0 no, NaN unknown."""
    score, answer = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(answers, dtype=np.float64).ravel()
    usable = np.isfinite(score) & np.isin(answer, (0.0, 1.0))
    unusable = int(usable.size - usable.sum())
    score, answer = score[usable], answer[usable]
    return _counted(score, answer, unusable, bins)


def expect(scores: ArrayLike, chances: ArrayLike, bins: ScoreBins) -> ScoreCounts:
    """Count scores by the chance, from 0 to 1, that their answer is yes."""
    score, chance = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(chances, dtype=np.float64).ravel()
    usable = np.isfinite(score) & (chance >= 0) & (chance <= 1)
    return _counted(score[usable], chance[usable], int(usable.size - usable.sum()), bins)


def _counted(score: Floats, yes: Floats, unusable: int, bins: ScoreBins) -> ScoreCounts:
    place = np.searchsorted(bins.inner, score, side="right")
    clipped = np.clip(score, _CLIP, 1 - _CLIP)
    return ScoreCounts(
        yes=floats(np.bincount(place, weights=yes, minlength=bins.bins)),
        no=floats(np.bincount(place, weights=1 - yes, minlength=bins.bins)),
        scores=floats(np.bincount(place, weights=clipped, minlength=bins.bins)),
        log_loss=float(-np.sum(yes * np.log(clipped) + (1 - yes) * np.log1p(-clipped))),
        squared=float(np.sum(yes * (clipped - 1) ** 2 + (1 - yes) * clipped**2)),
        unusable=unusable,
        bins=bins.digest,
    )


def auc(counts: ScoreCounts) -> float | Unsaid:
    """Return the chance that a yes scores higher than a no; those of one bin count half."""
    return area(counts.yes, counts.no)


def auc_error(counts: ScoreCounts) -> float | Unsaid:
    """Return the standard error of the AUC (DeLong, DeLong, Clarke-Pearson 1988)."""
    return area_error(counts.yes, counts.no)


def area(yes: Floats, no: Floats) -> float | Unsaid:
    """Return the AUC of rows counted on the same ascending bins, shape (bins,)."""
    positives, negatives = float(yes.sum()), float(no.sum())
    if positives + negatives == 0:
        return NotEnoughData(have=0, need=1)
    if positives == 0 or negatives == 0:
        return OneClass(round(positives), round(negatives))
    below = np.cumsum(no) - no / 2
    return float(np.dot(yes, below) / (positives * negatives))


def area_error(yes: Floats, no: Floats) -> float | Unsaid:
    """Return the standard error of that AUC."""
    found = area(yes, no)
    if not isinstance(found, float):
        return found
    positives, negatives = float(yes.sum()), float(no.sum())
    if min(positives, negatives) < 2:
        return NotEnoughData(have=round(min(positives, negatives)), need=2)
    placed_yes = (np.cumsum(no) - no / 2) / negatives
    placed_no = 1 - (np.cumsum(yes) - yes / 2) / positives
    spread_yes = np.dot(yes, (placed_yes - found) ** 2) / (positives - 1)
    spread_no = np.dot(no, (placed_no - found) ** 2) / (negatives - 1)
    return math.sqrt(float(spread_yes) / positives + float(spread_no) / negatives)
