"""Recalibrate scores for traffic whose features have shifted: weight labelled rows by the present share of rows like
them.

Weights come from the windows' counts of each feature's codes: of all weights that give the labelled rows the same
counts they are the most even ones (entropy balancing, Hainmueller 2012). They are used where a feature has shifted
detectably, and where they also bring the scores of the labelled rows, which they were not made from, to those of the
traffic: features may shift together in ways that counts of each do not show, and then weights would mislead.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.calibration import MIN_REFERENCE, Calibration, calibrate_labelled, labelled
from headrace_statistics.sketches.features import CODES, FeatureCounts, LabelledRows, counted, effective

MAX_SHIFTED = 16
_LEVEL = 0.01
# 95 % point of Kolmogorov's distance, for scores that are alike.
_KS = 1.358
# Weights must take away as much of the distance between scores, where these differ.
_EXPLAINED = 0.5
_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Reweighted:
    """calibration: on weighted rows. shifted: the features that weights were made for."""

    calibration: Calibration
    shifted: tuple[str, ...]


def reweighted(calibration: Calibration, now: FeatureCounts, scores: Floats) -> Reweighted | None:
    """Return a calibration for traffic with these features; None where `calibration` is to be kept.

    scores: of the traffic, shared out to the calibration's knots.
    """
    rows = calibration.sample
    if rows is None or rows.coding != now.coding or not rows.scores.size or not calibration.knots.size:
        return None
    if not scores.sum() > 0:
        return None
    shifted = _shifted(rows, now)
    if not shifted:
        return None
    weights = _tempered(rows.weights, rows.weights * _balanced(rows, now, shifted))
    if not _explains(calibration, rows, weights, scores, now.rows):
        return None
    before = calibrate_labelled(labelled(rows.scores, rows.answers, rows.weights), knots=calibration.knots)
    after = calibrate_labelled(labelled(rows.scores, rows.answers, weights), knots=calibration.knots)
    if not isinstance(before, Calibration) or not isinstance(after, Calibration):
        return None
    # The sample says what weights change; the calibration is made of more rows than it.
    at = np.unique(np.r_[calibration.at, before.at, after.at])
    chance = np.clip(calibration.chances(at) + after.chances(at) - before.chances(at), 0.0, 1.0)
    fitted = replace(after, at=floats(at), chance=floats(chance))
    return Reweighted(fitted, tuple(rows.features[place] for place in shifted))


def _shifted(rows: LabelledRows, now: FeatureCounts) -> tuple[int, ...]:
    """Return the features whose codes differ by more than chance, over all features at 1 %: those that differ most."""
    before = counted(rows.codes, rows.weights)
    n, m = effective(rows.weights), now.rows
    if min(n, m) <= 0:
        return ()
    p, q = before / rows.weights.sum(), now.counts / now.weight
    pooled = (n * p + m * q) / (n + m)
    there = pooled > 0
    distance = np.sum(np.divide((p - q) ** 2, pooled, out=np.zeros_like(p), where=there), axis=1)
    chance = scipy.stats.chi2.sf(distance / (1 / n + 1 / m), np.maximum(there.sum(axis=1) - 1, 1))
    found = np.flatnonzero(chance <= _LEVEL / max(chance.size, 1))
    return tuple(sorted(found[np.argsort(-distance[found], kind="stable")][:MAX_SHIFTED].tolist()))


def _balanced(rows: LabelledRows, now: FeatureCounts, shifted: tuple[int, ...]) -> Floats:
    """Return factors that give the rows the shares of codes that there are now, as far as rows have these codes.

    Newton's method for the dual of entropy balancing. A ridge keeps factors near one where few rows would have to
    stand for many.
    """
    columns, target = [], []
    for feature in shifted:
        has = np.bincount(rows.codes[:, feature], weights=rows.weights, minlength=CODES)
        shares = np.where(has > 0, now.counts[feature], 0.0)
        shares = shares / max(float(shares.sum()), 1e-300)
        for code in np.flatnonzero(has > 0)[1:]:
            columns.append(rows.codes[:, feature] == code)
            target.append(shares[code])
    if not columns:
        return np.ones(rows.scores.size)
    one_hot, wanted = np.column_stack(columns).astype(np.float64), np.asarray(target)
    base = rows.weights / rows.weights.sum()
    ridge = 1 / min(effective(rows.weights), now.rows)
    at = np.zeros(wanted.size)

    def value(of: Floats) -> tuple[float, Floats]:
        exponents = one_hot @ of
        highest = float(exponents.max())
        shares = base * np.exp(exponents - highest)
        total = float(shares.sum())
        return float(np.log(total)) + highest - float(wanted @ of) + ridge / 2 * float(of @ of), shares / total

    height, shares = value(at)
    for _ in range(_STEPS):
        means = shares @ one_hot
        slope = means - wanted + ridge * at
        if float(np.abs(slope).max()) < 1e-5:
            break
        bend = (one_hot * shares[:, None]).T @ one_hot - np.outer(means, means) + ridge * np.eye(wanted.size)
        step = np.linalg.solve(bend, slope)
        length = 1.0
        while length > 1e-6:
            tried, there = value(at - length * step)
            if tried <= height - 1e-4 * length * float(slope @ step):
                at, height, shares = at - length * step, tried, there
                break
            length /= 2
        else:
            break
    return shares / base


def _tempered(before: Floats, weights: Floats) -> Floats:
    """Return weights between these two that are worth enough rows to calibrate on: the nearest to the second."""
    ratio = np.divide(weights, before, out=np.ones_like(before), where=before > 0)
    need = min(float(MIN_REFERENCE), effective(before))
    if effective(weights) >= need:
        return floats(weights)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(before * ratio**middle) >= need else (low, middle)
    return floats(before * ratio**low)


def _explains(calibration: Calibration, rows: LabelledRows, weights: Floats, scores: Floats, traffic: float) -> bool:
    """Return whether weighted rows have the scores of the traffic, or at least half of what has changed in them."""

    def distance(of: Floats) -> float:
        return float(np.abs(np.cumsum(of) / of.sum() - np.cumsum(scores) / scores.sum()).max())

    before, after = (distance(calibration.leverage(rows.scores, of)) for of in (rows.weights, weights))
    chance = _KS * (1 / max(effective(weights), 1.0) + 1 / max(traffic, 1.0)) ** 0.5
    return after <= max(_EXPLAINED * before, chance)
