"""Estimate how good predictions are before their labels come, and how far off that may be. Pure.

Scores are calibrated on labelled rows. Where features have shifted, on these rows weighted as the traffic is now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from headrace_statistics.arrays import floats
from headrace_statistics.calibration import Calibration
from headrace_statistics.reweighting import reweighted
from headrace_statistics.sketches.scores import ScoreBins, ScoreCounts, area

from headrace_monitor.judge.performance.decisions.summaries import Summary

# Limit of the features named with an estimate.
_NAMED = 3
# Features are known by tenths of the reference: what differs within one is not followed, and as much of what weights
# change is taken to be uncertain.
_UNFOLLOWED = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """accuracy: to be expected. overstated: by how much a calibration on few labels is expected to overstate it.
    variance: of both together, by chance in the rows and in these labels. expected: rows of two classes by the answer
    that is to be expected; None for others. calibration: by which. note: what it was weighted for.
    """

    accuracy: float
    overstated: float
    variance: float
    expected: ScoreCounts | None
    calibration: Calibration | None
    note: str = ""


def estimate(summary: Summary, calibration: Calibration | None, bins: ScoreBins) -> Estimate:
    """Return what to expect of rows that have scores. calibration, bins: by which they were summed up."""
    chance, sampling = summary.chance, summary.doubt.mean / summary.chance.effective_rows
    if calibration is None or summary.leverage is None or not calibration.noise.size:
        return Estimate(chance.mean, 0.0, sampling, summary.expected, calibration)
    share = summary.leverage / chance.weight
    used, note, moved, expected = calibration, "", 0.0, summary.expected
    if summary.features is not None and summary.spread is not None:
        found = reweighted(calibration, summary.features, summary.spread)
        if found is not None:
            used = found.calibration
            moved = float((used.chances(calibration.knots) - calibration.chances(calibration.knots)) @ share)
            note = _note(found.shifted, used.rows)
            expected = None if expected is None else _expected_by(expected, bins, used)
    accuracy = min(max(chance.mean + moved, 0.0), 1.0)
    variance = sampling + float(used.noise @ share**2) + (_UNFOLLOWED * moved) ** 2
    return Estimate(accuracy, float(used.overstated @ share), variance, expected, used, note)


def _expected_by(counts: ScoreCounts, bins: ScoreBins, calibration: Calibration) -> ScoreCounts:
    """Return the same rows by the answer that another calibration expects."""
    rows = counts.yes + counts.no
    yes = rows * calibration.chances(bins.middles)
    return replace(counts, yes=floats(yes), no=floats(rows - yes))


def auc_by_calibration(expected: ScoreCounts, bins: ScoreBins, calibration: Calibration | None) -> tuple[float, float]:
    """Return by how much the calibration overstates the AUC of these rows, and the standard error that it brings: how
    far its refits, less what each overstates, are apart, and no less than that of its own rows' AUC.
    """
    if calibration is None or not calibration.optimism.size:
        return 0.0, 0.0
    rows = expected.yes + expected.no
    there = np.flatnonzero(rows)
    areas = []
    chances = calibration.refitted(bins.middles[there])
    for chance, optimism in zip(chances, calibration.optimism[1:], strict=True):
        found = area(rows[there] * chance, rows[there] * (1 - chance))
        if isinstance(found, float):
            areas.append(found - float(optimism))
    spread = float(np.std(areas)) if areas else 0.0
    return float(calibration.optimism[0]), max(spread, calibration.area_error)


def auc_unfollowed(before: ScoreCounts, after: ScoreCounts) -> float:
    """Return how much of what weights change in the AUC is taken to be uncertain."""
    areas = [area(one.yes, one.no) for one in (before, after)]
    known = [one for one in areas if isinstance(one, float)]
    return _UNFOLLOWED * (known[1] - known[0]) if len(known) == 2 else 0.0


def _note(shifted: tuple[str, ...], rows: int) -> str:
    more = f" and {len(shifted) - _NAMED} more" if len(shifted) > _NAMED else ""
    named = f"{', '.join(shifted[:_NAMED])}{more}"
    return f"labelled rows are weighted as {named} are distributed now, and are worth {rows:,}"
