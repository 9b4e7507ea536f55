"""Features of rows as codes of a byte: counted of all traffic, and kept of a bounded number of rows with labels."""

from dataclasses import dataclass, replace

import numpy as np

from headrace_statistics.arrays import Codes, Floats, codes, floats

# Codes of a feature: 0 for no value, then groups of numbers or the most frequent categories, and one for the rest.
CODES = 12


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Rows with labels, one by one. codes: of their features, shape (rows, features). features: names of these.
    coding: names what the codes mean.
    """

    scores: Floats
    answers: Floats
    weights: Floats
    codes: Codes
    features: tuple[str, ...]
    coding: str

    def merge(self, other: "LabelledRows") -> "LabelledRows":
        """Put together; of rows that were coded differently those that weigh more remain."""
        if self.coding != other.coding:
            return max(self, other, key=lambda one: (float(one.weights.sum()), one.coding))
        return LabelledRows(
            floats(np.r_[self.scores, other.scores]),
            floats(np.r_[self.answers, other.answers]),
            floats(np.r_[self.weights, other.weights]),
            codes(np.concatenate([self.codes, other.codes])),
            self.features,
            self.coding,
        )

    def weighted(self, weight: float) -> "LabelledRows":
        """Return the same rows, each of which counts for as much."""
        return replace(self, weights=floats(self.weights * weight))

    def drawn(self, most: int) -> "LabelledRows":
        """Return at most so many of the rows, always the same ones, which weigh as much as all."""
        if self.scores.size <= most:
            return self
        at = np.sort(np.random.default_rng(0).choice(self.scores.size, most, replace=False))
        weights = self.weights[at] * (self.weights.sum() / max(float(self.weights[at].sum()), 1e-300))
        drawn = (floats(self.scores[at]), floats(self.answers[at]), floats(weights))
        return LabelledRows(*drawn, codes(self.codes[at]), self.features, self.coding)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureCounts:
    """counts: weighed rows by their codes, shape (features, CODES). squares: sum of the squares of rows' weights."""

    counts: Floats
    squares: float
    coding: str

    @property
    def weight(self) -> float:
        return float(self.counts.sum(axis=1).max(initial=0.0))

    @property
    def rows(self) -> float:
        """How many rows of equal weight would say as much (Kish 1965)."""
        return self.weight**2 / self.squares if self.squares else 0.0

    def merge(self, other: "FeatureCounts") -> "FeatureCounts":
        """Add up. Raises ValueError for counts of other codes."""
        if self.coding != other.coding:
            raise ValueError(f"counts of codes {self.coding} and {other.coding} cannot be added")
        return FeatureCounts(floats(self.counts + other.counts), self.squares + other.squares, self.coding)


def labelled_rows(
    scores: Floats, answers: Floats, row_codes: Codes, features: tuple[str, ...], coding: str
) -> LabelledRows:
    """Keep rows whose score is finite and whose answer is 1 or 0; others are left out."""
    usable = np.isfinite(scores) & np.isin(answers, (0.0, 1.0))
    score, answer = floats(scores[usable]), floats(answers[usable])
    return LabelledRows(score, answer, floats(np.ones(score.size)), codes(row_codes[usable]), features, coding)


def count(row_codes: Codes, weights: Floats, coding: str) -> FeatureCounts:
    """Count rows by the codes of their features."""
    return FeatureCounts(counted(row_codes, weights), float(weights @ weights), coding)


def effective(weights: Floats) -> float:
    """Return how many rows of equal weight would say as much (Kish 1965)."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def counted(row_codes: Codes, weights: Floats) -> Floats:
    """Return weights by code, shape (features, CODES)."""
    features = row_codes.shape[1]
    places = (np.minimum(row_codes, CODES - 1) + np.arange(features) * CODES).ravel()
    counted = np.bincount(places, weights=np.repeat(weights, features), minlength=features * CODES)
    return floats(counted.reshape(features, CODES))
