"""Find gaps in the batch numbers of a process, and decide which batches are lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple


class BatchRange(NamedTuple):
    """Numbers of batches, both ends inclusive."""

    first: int
    last: int

    @property
    def batches(self) -> int:
        """Return how many they are."""
        return self.last - self.first + 1

    def without(self, number: int) -> tuple[BatchRange, ...]:
        """Return what is left of it when one number came after all."""
        below, above = BatchRange(self.first, number - 1), BatchRange(number + 1, self.last)
        return tuple(one for one in (below, above) if one.batches > 0)


class Progress(NamedTuple):
    """Progress of a process. through: every number up to it is stored or lost. lost: those that are lost now."""

    through: int
    lost: tuple[BatchRange, ...]


def advance(through: int, present: Iterable[tuple[int, datetime]], now: datetime, patience: timedelta) -> Progress:
    """Return the progress of a process. present: stored numbers above `through`, ascending, and since when.

    Data planes send in order, a few batches at a time, and retry those without acknowledgement. So a number that is
    still missing long after a later one came was dropped, or died with its process.
    """
    lost: list[BatchRange] = []
    for number, since in present:
        if number > through + 1:
            if now - since < patience:
                break
            lost.append(BatchRange(through + 1, number - 1))
        through = number
    return Progress(through, tuple(lost))
