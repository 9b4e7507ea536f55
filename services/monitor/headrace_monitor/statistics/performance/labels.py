"""Classes that were predicted and classes that were true, for any number of classes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from headrace_monitor.statistics.arrays import Counts, counts
from headrace_monitor.statistics.shares import Share
from headrace_monitor.statistics.unsaid import NotEnoughData, Unsaid

# Square of it are kept, 80 KB.
MAX_LABELS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """labels: the contract's, at most MAX_LABELS are told apart. table: shape (labels + 1,) * 2, rows by true label and
    columns by predicted one, in the last place what is none of them. right: rows whose labels are equal, whatever they
    are.
    """

    labels: tuple[str, ...]
    table: Counts
    right: int

    @property
    def rows(self) -> int:
        return int(self.table.sum())

    @property
    def accuracy(self) -> Share:
        return Share(self.right, self.rows)

    def merge(self, other: "Confusion") -> "Confusion":
        """Add up. Raises ValueError for other labels."""
        if self.labels != other.labels:
            raise ValueError("tables with different labels cannot be added")
        return Confusion(self.labels, counts(self.table + other.table), self.right + other.right)


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """Of one label: how many there truly were, and how well they were found."""

    label: str
    rows: int
    precision: float | Unsaid
    recall: float | Unsaid


def confusion(true: Iterable[object], predicted: Iterable[object], labels: Iterable[str]) -> Confusion:
    """Count pairs of labels."""
    known = tuple(labels)[:MAX_LABELS]
    place = {label: index for index, label in enumerate(known)}
    table = np.zeros((len(known) + 1, len(known) + 1), dtype=np.int64)
    right = 0
    for truth, guess in zip(true, predicted, strict=True):
        right += str(truth) == str(guess)
        table[place.get(str(truth), -1), place.get(str(guess), -1)] += 1
    return Confusion(known, counts(table), right)


def by_label(confusion: Confusion) -> tuple[LabelQuality, ...]:
    """Return precision and recall of every label that occurred or was predicted."""
    qualities = []
    for index, label in enumerate(confusion.labels):
        rows, guessed = int(confusion.table[index].sum()), int(confusion.table[:, index].sum())
        if rows or guessed:
            hits = int(confusion.table[index, index])
            qualities.append(LabelQuality(label, rows, _ratio(hits, guessed), _ratio(hits, rows)))
    return tuple(qualities)


def _ratio(part: int, whole: int) -> float | Unsaid:
    return part / whole if whole else NotEnoughData(have=0, need=1)
