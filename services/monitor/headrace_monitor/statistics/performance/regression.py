"""Errors of predicted numbers: MAE, RMSE, bias, from moments that merge."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from headrace_monitor.statistics.summaries.moments import Moments, moments
from headrace_monitor.statistics.unsaid import Constant, NotEnoughData, NotFinite, Unsaid


@dataclass(frozen=True, slots=True)
class Errors:
    """Moments of prediction - label, of its magnitude and of its square, and of the labels. Rows that lack either count
    as left out.
    """

    signed: Moments = field(default_factory=Moments)
    absolute: Moments = field(default_factory=Moments)
    squared: Moments = field(default_factory=Moments)
    labels: Moments = field(default_factory=Moments)

    def merge(self, other: "Errors") -> "Errors":
        return Errors(
            self.signed.merge(other.signed),
            self.absolute.merge(other.absolute),
            self.squared.merge(other.squared),
            self.labels.merge(other.labels),
        )


@dataclass(frozen=True, slots=True)
class Regression:
    """rows: labelled. bias: mean of prediction - label. r2: share of the labels' variance that is explained."""

    rows: int
    mae: float | Unsaid
    rmse: float | Unsaid
    bias: float | Unsaid
    r2: float | Unsaid


def errors(predictions: ArrayLike, labels: ArrayLike) -> Errors:
    """Summarise predictions and labels of the same shape."""
    predicted, label = np.asarray(predictions, dtype=np.float64).ravel(), np.asarray(labels, dtype=np.float64).ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        away = predicted - label
        known = np.where(np.isfinite(away), label, np.nan)
        return Errors(moments(away), moments(np.abs(away)), moments(away**2), moments(known))


def regression(errors: Errors) -> Regression:
    """Compute everything that the moments say."""
    rows = errors.signed.count
    if rows == 0:
        none = NotEnoughData(have=0, need=1)
        return Regression(0, none, none, none, none)
    rmse: float | Unsaid = math.sqrt(errors.squared.mean)
    if errors.squared.left_out > errors.signed.left_out:
        rmse = NotFinite(count=errors.squared.left_out - errors.signed.left_out, of=rows)
    return Regression(rows, errors.absolute.mean, rmse, errors.signed.mean, _explained(errors, rmse))


def _explained(errors: Errors, rmse: float | Unsaid) -> float | Unsaid:
    variance = errors.labels.variance
    if not isinstance(rmse, float):
        return rmse
    if not isinstance(variance, float):
        return variance
    if variance == 0:
        return Constant(value=errors.labels.mean)
    return 1 - errors.signed.count * rmse**2 / errors.labels.m2
