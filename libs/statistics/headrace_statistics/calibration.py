"""Performance before labels come, from the scores alone (confidence-based performance estimation, CBPE).

Scores are calibrated on rows with labels: then a score says how likely the answer is yes, and the expected counts of
right and wrong answers follow. It sees changes in what comes in. It cannot see a change of
what follows from it (concept drift): for that, labels are needed (`e_detector`).

A calibration is as uncertain as the labels that it is made of: it is fitted again to rows drawn from them, and an
estimate is as far off as it varies over these.
"""

import functools
from dataclasses import dataclass, field, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.inconclusive import NotEnoughData, OneClass
from headrace_statistics.sketches.features import LabelledRows
from headrace_statistics.sketches.scores import area, area_error, grid

MIN_REFERENCE = 300
# Bootstrap fits, and the scores at which they are stored.
REFITS = 100
KNOTS = 48
# Rows whose features are kept with a calibration.
SAMPLE_ROWS = 20_000
_GRID = grid(0.5)


def _none() -> Floats:
    return floats([])


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """at: scores, ascending. chance: probability of yes there, linear in between. rows: of the reference, as many as
    their weights are worth. knots, refits: probabilities by the bootstrap fits, shape (REFITS, knots). optimism: by how
    much the AUC that a fit expects of its own rows is more than what it is: of this fit and of each refit, shape (1 +
    REFITS,). overstated: by how much more yes than there is the fit expects of its own rows around each knot. noise:
    variance of their mean answer. These five are empty in calibrations that older releases have kept. sample: some of
    the rows with their features; None where these are unknown. area_error: standard error of the AUC of its rows;
    rarer: how many of these have the rarer answer. Weighted ones count for what they are worth.
    """

    at: Floats
    chance: Floats
    rows: int
    knots: Floats = field(default_factory=_none)
    refits: Floats = field(default_factory=_none)
    optimism: Floats = field(default_factory=_none)
    overstated: Floats = field(default_factory=_none)
    noise: Floats = field(default_factory=_none)
    sample: LabelledRows | None = None
    area_error: float = 0.0
    rarer: float = 0.0

    def chances(self, values: ArrayLike) -> Floats:
        """Return the chance of yes for scores; NaN for those that are not finite."""
        array = np.asarray(values, dtype=np.float64)
        return np.where(np.isfinite(array), np.interp(array, self.at, self.chance), np.nan)

    def leverage(self, values: Floats, weights: Floats) -> Floats:
        """Return by how much the weighted sum of the chances of scores rises with the chance at each knot, shape
        (knots,). Values and weights that are not finite are left out. Sums of several parts add up.
        """
        return self.knots if not self.knots.size else _spread(values, weights, self.knots)

    def refitted(self, values: Floats) -> Floats:
        """Return the chance of yes for scores by each refit, shape (refits, values)."""
        return np.stack([np.interp(values, self.knots, refit) for refit in self.refits])


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScores:
    """Rows with labels by their scores, few enough to keep: places on fine bins, ascending, with the mean score of
    each, and weights of rows whose answer is yes and no; shape (places,). squares: sum of the squares of rows' weights.
    sample: some of the rows with their features; None where these are unknown.
    """

    places: Floats
    scores: Floats
    yes: Floats
    no: Floats
    squares: float
    sample: LabelledRows | None = None

    @property
    def rows(self) -> float:
        """How many rows of equal weight would say as much (Kish 1965)."""
        total = float(self.yes.sum() + self.no.sum())
        return total**2 / self.squares if self.squares else 0.0

    def merge(self, other: "LabelledScores") -> "LabelledScores":
        """Add up, in any order up to rounding."""
        together = [np.concatenate(pair) for pair in ((self.places, other.places), (self.yes, other.yes))]
        scores, no = np.r_[self.scores, other.scores], np.r_[self.no, other.no]
        merged = _by_place(together[0], scores, together[1], no, self.squares + other.squares)
        samples = [one.sample for one in (self, other) if one.sample is not None]
        return replace(merged, sample=functools.reduce(LabelledRows.merge, samples) if samples else None)

    def weighted(self, weight: float) -> "LabelledScores":
        """Return the same rows, each of which counts for as much."""
        yes, no, sample = floats(self.yes * weight), floats(self.no * weight), self.sample
        sample = None if sample is None else sample.weighted(weight)
        return replace(self, yes=yes, no=no, squares=self.squares * weight**2, sample=sample)


def _spread(values: Floats, weights: Floats, knots: Floats) -> Floats:
    """Share each weight out to the two knots around its value, the nearer one gets more; shape (knots,)."""
    usable = np.isfinite(values) & np.isfinite(weights)
    score, weight = np.clip(values[usable], knots[0], knots[-1]), weights[usable]
    if knots.size == 1:
        return floats([weight.sum()])
    above = np.clip(np.searchsorted(knots, score, side="right"), 1, knots.size - 1)
    low, high = knots[above - 1], knots[above]
    part = (score - low) / (high - low)
    into = np.bincount(above - 1, weights=weight * (1 - part), minlength=knots.size)
    return floats(into + np.bincount(above, weights=weight * part, minlength=knots.size))


def labelled(values: ArrayLike, answers: ArrayLike, weights: ArrayLike = 1.0) -> LabelledScores:
    """Summarise scores with their answers, 1 or 0; others are left out."""
    score, answer = np.asarray(values, dtype=np.float64).ravel(), np.asarray(answers, dtype=np.float64).ravel()
    usable = np.isfinite(score) & np.isin(answer, (0.0, 1.0))
    weight = np.broadcast_to(np.asarray(weights, dtype=np.float64), score.shape)[usable]
    score, answer = score[usable], answer[usable]
    places = np.searchsorted(_GRID.inner, score, side="right").astype(np.float64)
    return _by_place(places, score, weight * answer, weight * (1 - answer), float(weight @ weight))


def _by_place(places: Floats, scores: Floats, yes: Floats, no: Floats, squares: float) -> LabelledScores:
    unique, at = np.unique(places, return_inverse=True)
    sums = [np.bincount(at, weights=of, minlength=unique.size) for of in (scores * (yes + no), yes, no)]
    means = np.divide(sums[0], sums[1] + sums[2], out=np.zeros(unique.size), where=sums[1] + sums[2] > 0)
    return LabelledScores(floats(unique), floats(means), floats(sums[1]), floats(sums[2]), squares)


def calibrate(
    values: ArrayLike, answers: ArrayLike, *, sample: LabelledRows | None = None
) -> Calibration | NotEnoughData | OneClass:
    """Fit the chance of yes by score: isotonic regression over the reference's rows (Zadrozny, Elkan 2002).

    sample: some of the rows with their features, to be kept with it.
    """
    score, answer = np.asarray(values, dtype=np.float64).ravel(), np.asarray(answers, dtype=np.float64).ravel()
    usable = np.isfinite(score) & np.isin(answer, (0.0, 1.0))
    score, answer = score[usable], answer[usable]
    at, place = np.unique(score, return_inverse=True)
    yes, times = floats(np.bincount(place, weights=answer, minlength=at.size)), np.bincount(place, minlength=at.size)
    return _calibrated(at, yes, floats(times - yes), replace(labelled(score, answer), sample=sample))


def calibrate_labelled(
    scores: LabelledScores, *, knots: Floats | None = None
) -> Calibration | NotEnoughData | OneClass:
    """Fit the same to rows that were summarised, and weighted. knots: those of another calibration."""
    return _calibrated(scores.scores, scores.yes, scores.no, scores, knots)


def _calibrated(
    at: Floats, yes: Floats, no: Floats, rows: LabelledScores, knots: Floats | None = None
) -> Calibration | NotEnoughData | OneClass:
    """Fit at these scores. rows: the same, summarised, from which others are drawn."""
    if rows.rows < MIN_REFERENCE:
        return NotEnoughData(have=int(rows.rows), need=MIN_REFERENCE)
    if min(yes.sum(), no.sum()) == 0:
        return OneClass(round(float(yes.sum())), round(float(no.sum())))
    fitted = _isotonic(yes, yes + no)
    # A run of equal chances is a line: its ends say it all, so as many points remain as there are levels, twice.
    inner = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    keep = np.concatenate([[True], ~inner, [True]])[: at.size]
    if knots is None:
        places = np.unique(np.linspace(0, rows.scores.size - 1, KNOTS).round().astype(int))
        knots = np.unique(rows.scores[places])
    chances = np.interp(rows.scores, at, fitted)
    own = _optimism(chances, rows.yes, rows.no)
    refits, optimism = _refits(rows, knots)
    worth = rows.rows / float(rows.yes.sum() + rows.no.sum())
    error = area_error(floats(rows.yes * worth), floats(rows.no * worth))
    return Calibration(
        *(floats(at[keep]), floats(fitted[keep]), int(rows.rows), floats(knots), refits),
        floats([own, *optimism]),
        *_around(rows, chances, np.unique(fitted).size, knots),
        None if rows.sample is None else rows.sample.drawn(SAMPLE_ROWS),
        # Below two rows of an answer nothing is known.
        area_error=error if isinstance(error, float) else 0.5,
        rarer=worth * float(min(rows.yes.sum(), rows.no.sum())),
    )


def _around(rows: LabelledScores, chances: Floats, levels: int, knots: Floats) -> tuple[Floats, Floats]:
    """Return by how much the chances are more than the answers around each knot, and the variance of the mean answer.

    A fit pools what falls until it rises: it takes chance for order on either side of any score, and so expects more
    right decisions than there are, whichever score decides.
    """
    times = rows.yes + rows.no
    around, yes, expected = (_spread(rows.scores, of, knots) for of in (times, rows.yes, times * chances))
    there = np.maximum(around, 1e-300)
    # Each level of the fit takes up a row's worth of what is known (Meyer, Woodroofe 2000).
    worth = max(rows.rows - levels, 1.0) / float(times.sum())
    # Few rows without a yes do not say that there is never one.
    least = 1 / (2 + rows.rows / 5)
    chance = np.clip(expected / there, least, 1 - least)
    return floats((expected - yes) / there), floats(chance * (1 - chance) / np.maximum(around * worth, 1.0))


def _isotonic(yes: Floats, times: Floats) -> Floats:
    return np.asarray(scipy.optimize.isotonic_regression(yes / times, weights=times).x)


def _optimism(chances: Floats, yes: Floats, no: Floats) -> float:
    """Return how much higher an AUC these chances lead to expect of rows than the rows have. A fit to few labels finds
    steps in what is chance, and expects to find them again.
    """
    rows = yes + no
    expected, real = area(rows * chances, rows * (1 - chances)), area(yes, no)
    return expected - real if isinstance(expected, float) and isinstance(real, float) else 0.0


def _refits(rows: LabelledScores, knots: Floats) -> tuple[Floats, list[float]]:
    """Fit to bootstrap samples of the effective sample size, with a fixed seed. Return the
    probabilities at the knots, and the optimism of each fit.
    """
    rng = np.random.default_rng(0)
    worth = rows.rows / float(rows.yes.sum() + rows.no.sum())
    refits, optimism = np.empty((REFITS, knots.size)), []
    for refit in refits:
        yes, no = (rng.poisson(of * worth).astype(np.float64) for of in (rows.yes, rows.no))
        there = yes + no > 0
        yes, no, scores = yes[there], no[there], rows.scores[there]
        chances = _isotonic(yes, yes + no)
        refit[:] = np.interp(knots, scores, chances)
        optimism.append(_optimism(chances, yes, no))
    return floats(refits), optimism
