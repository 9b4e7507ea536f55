"""Scores of a binary question with its answers, counted on frozen score bins: from them come accuracy, AUC and
calibration.

The question is whatever the score is the probability of: "is it fraud?", or, for any number of classes, "was the
predicted class right?" with the predicted class's probability as the score.
"""

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData, OneClass


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
    def middles(self) -> Floats:
        """A score in each bin."""
        return floats(np.r_[self.inner[0], (self.inner[1:] + self.inner[:-1]) / 2, self.inner[-1]])

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.inner.tobytes() + repr(self.threshold).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCounts:
    """yes, no: shape (bins,), weights of rows by what was true, or is to be expected. scores: shape (bins,), weighed
    sums of scores.
    """

    yes: Floats
    no: Floats
    scores: Floats
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
            self.bins,
        )


@functools.lru_cache(maxsize=64)
def grid(threshold: float) -> ScoreBins:
    """Return score bins that need no reference: even in log-odds between 0 and 1, from 1e-12 to as near 1, and in
    magnitude beyond 1 and below 0, for scores that are margins or log-odds.

    Rows in one bin count as tied in the AUC. A bin is .015 wide in log-odds, and .5 to 1 % of magnitudes from .01 on;
    that costs about 1e-5.
    """
    odds = np.linspace(-28, 28, 3_735)
    above = np.concatenate([np.logspace(0, 3, 1_501), np.logspace(3, 9, 1_201)])
    below = -np.concatenate([np.logspace(-12, -2, 501), np.logspace(-2, 3, 2_501), np.logspace(3, 9, 1_201)])
    edges = np.concatenate([below, [0.0], 1 / (1 + np.exp(-odds)), above, [threshold]])
    return ScoreBins(floats(np.unique(edges)), threshold)


def count(scores: Floats, chances: Floats, weights: Floats, bins: ScoreBins) -> ScoreCounts:
    """Count rows by their scores and by the chance that their answer is yes: 1 or 0 where it is known. Those without a
    score or a chance are left out.
    """
    usable = np.isfinite(scores) & (chances >= 0) & (chances <= 1)
    score, yes, weight = scores[usable], chances[usable], weights[usable]
    place = np.searchsorted(bins.inner, score, side="right")
    return ScoreCounts(
        yes=floats(np.bincount(place, weights=weight * yes, minlength=bins.bins)),
        no=floats(np.bincount(place, weights=weight * (1 - yes), minlength=bins.bins)),
        scores=floats(np.bincount(place, weights=weight * np.clip(score, 0, 1), minlength=bins.bins)),
        bins=bins.digest,
    )


def auc(counts: ScoreCounts) -> float | Inconclusive:
    """Return the chance that a yes scores higher than a no; those of one bin count half."""
    return area(counts.yes, counts.no)


def auc_error(counts: ScoreCounts) -> float | Inconclusive:
    """Return the standard error of the AUC (DeLong, DeLong, Clarke-Pearson 1988)."""
    return area_error(counts.yes, counts.no)


def area(yes: Floats, no: Floats) -> float | Inconclusive:
    """Return the AUC of rows counted on the same ascending bins, shape (bins,)."""
    positives, negatives = float(yes.sum()), float(no.sum())
    if positives + negatives == 0:
        return NotEnoughData(have=0, need=1)
    if positives == 0 or negatives == 0:
        return OneClass(round(positives), round(negatives))
    below = np.cumsum(no) - no / 2
    return float(np.dot(yes, below) / (positives * negatives))


def area_error(yes: Floats, no: Floats) -> float | Inconclusive:
    """Return the standard error of that AUC, with one more yes and one more no whose ranks are taken to be unknown: a
    few rows with similar scores do not prove that all have such scores.
    """
    found = area(yes, no)
    if not isinstance(found, float):
        return found
    positives, negatives = float(yes.sum()), float(no.sum())
    if min(positives, negatives) < 2:
        return NotEnoughData(have=round(min(positives, negatives)), need=2)
    placed_yes = (np.cumsum(no) - no / 2) / negatives
    placed_no = 1 - (np.cumsum(yes) - yes / 2) / positives
    middle = _drawn_in(found, min(positives, negatives))
    spread_yes = float(np.dot(yes, (placed_yes - found) ** 2)) + middle * (1 - middle)
    spread_no = float(np.dot(no, (placed_no - found) ** 2)) + middle * (1 - middle)
    return math.sqrt(spread_yes / positives**2 + spread_no / negatives**2)


def area_bounds(found: float, errors: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return 95 % bounds of an AUC. errors: standard errors that add up, each with how many rows of the rarer answer it
    was taken from.

    In log-odds, since an AUC near 1 may be further below than above; with as many degrees of freedom as there are rows
    (Satterthwaite 1946).
    """
    error = math.hypot(*(each for each, _ in errors))
    if error == 0:
        return found, found
    # Log-odds of 0 and 1 are infinite: no nearer to these than one more row could say.
    nearest = 0.5 / (1 + min(rows for _, rows in errors))
    middle = min(max(found, nearest), 1 - nearest)
    freedom = 1 / sum((each / error) ** 4 / max(rows - 1, 1.0) for each, rows in errors)
    reach = float(scipy.special.stdtrit(freedom, 0.975)) * error / (middle * (1 - middle))
    low, high = scipy.special.expit(scipy.special.logit(middle) + np.array([-reach, reach]))
    return float(low), float(high)


def _drawn_in(found: float, rarer: float) -> float:
    """Return an AUC as if one more row of the rarer answer scored like any other."""
    return (found * rarer + 0.5) / (rarer + 1)
