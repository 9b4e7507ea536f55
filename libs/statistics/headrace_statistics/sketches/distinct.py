"""How many distinct things were seen: the smallest of their hashes stand for all (Bar-Yossef et al., RANDOM 2002).

Exact up to `SIZE` things; beyond, the size of the largest hash that is kept says how densely they lie, within about
3 % (one standard deviation). To add a thing twice, or to merge a sketch twice, changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

SIZE = 1024
# Hashes are below it.
HASHES = 2**32


@dataclass(frozen=True, slots=True)
class Distinct:
    """hashes: the smallest ones, rising, at most SIZE of them."""

    hashes: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many distinct things there were, about.

        >>> of([7, 7, 9]).count
        2
        """
        if len(self.hashes) < SIZE:
            return len(self.hashes)
        return round((SIZE - 1) / ((self.hashes[-1] + 1) / HASHES))

    def merge(self, other: Distinct) -> Distinct:
        """Return the sketch of everything that either has seen."""
        return of((*self.hashes, *other.hashes)) if other.hashes else self

    def beyond(self, before: Distinct, others: Iterable[Distinct]) -> int:
        """Return how many things there are that were neither in an earlier state of the sketch nor in other sketches.

        >>> of([3, 5, 7, 9]).beyond(of([3]), [of([5])])
        2
        """
        new = set(self.hashes) - set(before.hashes)
        # Of larger hashes a full sketch does not say whether it has seen them: these are taken to be like the rest.
        known, seen = new, set[int]()
        for other in others:
            seen.update(other.hashes)
            if len(other.hashes) >= SIZE:
                known = {one for one in known if one <= other.hashes[-1]}
        share = 1 - len(known & seen) / len(known) if known else 1.0
        return round(max(0, self.count - before.count) * share)

    def to_bytes(self) -> bytes:
        """Return four bytes for each hash."""
        return struct.pack(f"<{len(self.hashes)}I", *self.hashes)


NOTHING = Distinct()


def of(hashes: Iterable[int]) -> Distinct:
    """Return the sketch of things with these hashes."""
    return Distinct(tuple(sorted(set(hashes))[:SIZE]))


def from_bytes(data: bytes) -> Distinct:
    """Return the sketch that `to_bytes` was called on. ValueError for other bytes."""
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes are no hashes of four each")
    return of(struct.unpack(f"<{len(data) // 4}I", data))
