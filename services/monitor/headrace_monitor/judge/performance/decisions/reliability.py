"""How far scores can be taken for probabilities: what was observed of answers with like scores. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from headrace_statistics.sketches.scores import ScoreCounts

GROUPS = 10
# Of a 95 % interval.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class ScoreGroup:
    """Answers with like scores. score: their mean. share: of them, those whose answer was yes, with its interval.

    rows: answers, as many as rows of the log stand for.
    """

    score: float
    share: float
    low: float
    high: float
    rows: float


def reliability(counts: ScoreCounts, *, rows_each: float = 1.0) -> tuple[ScoreGroup, ...]:
    """Return at most ten groups of about as many answers, the lowest scores first.

    These are the groups that the calibration error is the mean of. rows_each: how many answers say as much as one
    that is independent of the others and was not sampled; the intervals are those of the effective number.
    """
    rows = counts.yes + counts.no
    total = float(rows.sum())
    if total == 0:
        return ()
    group = np.minimum(np.floor((np.cumsum(rows) - rows / 2) / total * GROUPS), GROUPS - 1).astype(np.int64)
    of, yes, scores = (
        np.bincount(group, weights=values, minlength=GROUPS) for values in (rows, counts.yes, counts.scores)
    )
    return tuple(
        _group(float(scores[at] / of[at]), float(yes[at]), float(of[at]), rows_each)
        for at in range(GROUPS)
        if of[at] > 0
    )


def _group(score: float, yes: float, of: float, rows_each: float) -> ScoreGroup:
    """Return a group, with Wilson's interval of its share (1927), which lies between 0 and 1 for any number of rows."""
    share, rows = yes / of, of / rows_each
    wide = _Z**2 / rows
    middle, half = share + wide / 2, _Z * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    low, high = (middle - half) / (1 + wide), (middle + half) / (1 + wide)
    return ScoreGroup(score, share, min(max(low, 0.0), share), max(min(high, 1.0), share), of)
