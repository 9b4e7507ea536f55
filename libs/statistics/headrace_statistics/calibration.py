"""Performance before labels come, from the scores alone (confidence-based performance estimation, CBPE).

Scores are calibrated on rows with labels: then a score says how likely the answer is yes, and the expected counts of
right and wrong answers follow . It sees changes in what comes in. It cannot see a change of
what follows from it (concept drift): for that, labels are needed (`e_detector`).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.inconclusive import NotEnoughData, OneClass

MIN_REFERENCE = 300


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """at: scores, ascending. chance: how likely yes is there, linear in between. rows: of the reference."""

    at: Floats
    chance: Floats
    rows: int

    def chances(self, values: ArrayLike) -> Floats:
        """Return the chance of yes for scores; NaN for those that are not finite."""
        array = np.asarray(values, dtype=np.float64)
        return np.where(np.isfinite(array), np.interp(array, self.at, self.chance), np.nan)


def calibrate(values: ArrayLike, answers: ArrayLike) -> Calibration | NotEnoughData | OneClass:
    """Fit the chance of yes by score: isotonic regression over the reference's rows (Zadrozny, Elkan 2002)."""
    score, answer = np.asarray(values, dtype=np.float64).ravel(), np.asarray(answers, dtype=np.float64).ravel()
    usable = np.isfinite(score) & np.isin(answer, (0.0, 1.0))
    score, answer = score[usable], answer[usable]
    if score.size < MIN_REFERENCE:
        return NotEnoughData(have=score.size, need=MIN_REFERENCE)
    positives = int(answer.sum())
    if positives in (0, answer.size):
        return OneClass(positives, answer.size - positives)
    at, place, times = np.unique(score, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=answer) / times
    fitted = np.asarray(scipy.optimize.isotonic_regression(means, weights=times).x)
    # A run of equal chances is a line: its ends say it all, so as many points remain as there are levels, twice.
    inner = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    keep = np.concatenate([[True], ~inner, [True]])[: at.size]
    return Calibration(floats(at[keep]), floats(fitted[keep]), int(score.size))
