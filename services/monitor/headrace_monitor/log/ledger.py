"""Which batches of a process are there, and which will not come any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple


class Range(NamedTuple):
    """Numbers of batches, both ends inclusive."""

    first: int
    last: int

    @property
    def batches(self) -> int:
        """Return how many they are."""
        return self.last - self.first + 1

    def without(self, number: int) -> tuple[Range, ...]:
        """Return what is left of it when one number came after all."""
        below, above = Range(self.first, number - 1), Range(number + 1, self.last)
        return tuple(one for one in (below, above) if one.batches > 0)


class Progress(NamedTuple):
    """How far a process is. through: every number up to it is there, or lost. lost: those that were given up now."""

    through: int
    lost: tuple[Range, ...]


def advance(through: int, present: Iterable[tuple[int, datetime]], now: datetime, patience: timedelta) -> Progress:
    """Return how far a process is. present: the numbers above `through` that are there, rising, and since when.

    Data planes send in order, a few at a time, and send again what was not acknowledged. So a number that is missing
    for long after a later one came was dropped, or died with its process.
    """
    lost: list[Range] = []
    for number, since in present:
        if number > through + 1:
            if now - since < patience:
                break
            lost.append(Range(through + 1, number - 1))
        through = number
    return Progress(through, tuple(lost))
