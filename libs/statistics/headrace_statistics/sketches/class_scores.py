"""Probabilities of more than two classes beside the true class: counted for each class against the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Floats, floats
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData, OneClass
from headrace_statistics.sketches.scores import area, area_error

# What is kept of so many is 800 KB.
MAX_CLASSES = 100
# Even in log-odds: probabilities in one bin count as tied in the AUC, which costs about 1e-4.
_EDGES = floats(1 / (1 + np.exp(-np.linspace(-15, 15, 511))))
BINS = _EDGES.size + 1
# Probabilities that were rounded to eight bits add up to one within this.
_SUM_WITHIN = 0.01
# A true class of probability 0 costs this much log-loss, not infinity; as in `scores`.
_CLIP = 1e-15


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """yes, no: shape (classes, BINS), weights of rows by the class's probability: of this class, and of any other.

    rows: counted. no_probabilities: rows left out as their scores are none: not finite, negative, not adding up to one.
    no_class: rows left out as their label is not one of the classes.
    """

    yes: Floats
    no: Floats
    rows: int
    no_probabilities: int
    no_class: int

    @property
    def classes(self) -> int:
        """Return how many there are."""
        return len(self.yes)

    def merge(self, other: "ClassScores") -> "ClassScores":
        """Add up. Raises ValueError for other numbers of classes."""
        if self.classes != other.classes:
            raise ValueError(f"scores of {self.classes} and of {other.classes} classes cannot be added")
        return ClassScores(
            floats(self.yes + other.yes),
            floats(self.no + other.no),
            self.rows + other.rows,
            self.no_probabilities + other.no_probabilities,
            self.no_class + other.no_class,
        )


@dataclass(frozen=True, slots=True)
class MacroAuc:
    """value: mean AUC of classes against the rest. error: no less than its standard error. classes: how many it is made
    of, those with rows in them and outside of them.
    """

    value: float
    error: float | Inconclusive
    classes: int


def count(probabilities: ArrayLike, truth: ArrayLike, weights: ArrayLike) -> ClassScores:
    """Count labelled rows. probabilities: shape (rows, classes). truth: place of the true class; outside of 0 to
    classes - 1 is not one of them. weights: rows that each stands for.
    """
    chance, true = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    weight = np.asarray(weights, dtype=np.float64)
    classes = chance.shape[1]
    named, probable = _named(true, classes), _probable(chance)
    usable = named & probable
    chance, true, weight = chance[usable], true[usable], weight[usable]
    place = np.searchsorted(_EDGES, chance, side="right") + BINS * np.arange(classes)
    yes, no = np.zeros(classes * BINS), np.zeros(classes * BINS)
    # Few probabilities are in force at a time, so weights are few.
    for each in np.unique(weight).tolist():
        of_it = weight == each
        own = np.bincount(place[of_it, true[of_it]], minlength=yes.size)
        yes += each * own
        no += each * (np.bincount(place[of_it].ravel(), minlength=yes.size) - own)
    return ClassScores(
        floats(yes.reshape(classes, BINS)),
        floats(no.reshape(classes, BINS)),
        rows=int(usable.sum()),
        no_probabilities=int((~probable).sum()),
        no_class=int((probable & ~named).sum()),
    )


def log_losses(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Return -ln of each row's probability of its true class; NaN for rows that `count` leaves out."""
    chance, true = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    usable = _named(true, chance.shape[1]) & _probable(chance)
    losses = np.full(true.size, np.nan)
    losses[usable] = -np.log(np.clip(chance[usable, true[usable]], _CLIP, 1.0))
    return losses


def macro_auc(counts: ClassScores) -> MacroAuc | Inconclusive:
    """Return the mean, over classes that occur, of the chance that a row of the class has a higher probability of it
    than a row of another (one against the rest, macro: Fawcett 2006, Pattern Recognition Letters 27(8)).

    Classes' AUCs come from the same rows, with unknown covariances. The spread of a mean is at most the mean of the
    spreads, so the error is no smaller than the true one.
    """
    positives, negatives = counts.yes.sum(axis=1), counts.no.sum(axis=1)
    if counts.rows == 0:
        return NotEnoughData(have=0, need=1)
    places = np.flatnonzero((positives > 0) & (negatives > 0))
    if not places.size:
        return OneClass(counts.rows, 0)
    areas = [area(counts.yes[place], counts.no[place]) for place in places]
    errors = [area_error(counts.yes[place], counts.no[place]) for place in places]
    unknown = next((one for one in errors if not isinstance(one, float)), None)
    error = unknown if unknown is not None else float(np.mean([one for one in errors if isinstance(one, float)]))
    return MacroAuc(float(np.mean([one for one in areas if isinstance(one, float)])), error, int(places.size))


def _named(true: np.ndarray, classes: int) -> np.ndarray:
    return (true >= 0) & (true < classes)


def _probable(chance: Floats) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return (chance >= 0).all(axis=1) & (np.abs(chance.sum(axis=1) - 1) <= _SUM_WITHIN)
