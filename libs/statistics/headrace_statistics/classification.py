"""Precision, recall, AUC and calibration of a binary question, from its counts on score bins."""

from dataclasses import dataclass

import numpy as np

from headrace_statistics.inconclusive import Inconclusive, NotEnoughData
from headrace_statistics.sketches.scores import ScoreBins, ScoreCounts, auc


@dataclass(frozen=True, slots=True)
class Classification:
    """precision, recall, f1: at the threshold of the bins.

    calibration: expected calibration error, the mean distance of score and observed share over bins of like score.
    Each is a number or says why there is none.
    """

    precision: float | Inconclusive
    recall: float | Inconclusive
    f1: float | Inconclusive
    auc: float | Inconclusive
    calibration: float | Inconclusive


def classification(counts: ScoreCounts, bins: ScoreBins) -> Classification:
    """Compute everything that the counts say."""
    first = bins.first_yes
    hits, false_alarms = float(counts.yes[first:].sum()), float(counts.no[first:].sum())
    misses = float(counts.yes[:first].sum())
    return Classification(
        precision=_ratio(hits, hits + false_alarms),
        recall=_ratio(hits, hits + misses),
        f1=_ratio(hits, hits + (false_alarms + misses) / 2),
        auc=auc(counts),
        calibration=_calibration(counts),
    )


def _ratio(part: float, whole: float) -> float | Inconclusive:
    return part / whole if whole > 0 else NotEnoughData(have=0, need=1)


def _calibration(counts: ScoreCounts, groups: int = 10) -> float | Inconclusive:
    rows = counts.yes + counts.no
    total = float(rows.sum())
    if total == 0:
        return NotEnoughData(have=0, need=1)
    # Fine bins would mostly show chance: 256 bins of 40 rows are off by .06 each when all is well.
    group = np.minimum(np.floor((np.cumsum(rows) - rows / 2) / total * groups), groups - 1).astype(np.int64)
    apart = np.bincount(group, weights=counts.scores - counts.yes, minlength=groups)
    return float(np.abs(apart).sum() / total)
