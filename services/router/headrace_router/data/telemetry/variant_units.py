"""Which units had a fault or an invalid answer, were refused, or asked at all, by variant: as many hashes as a sketch
has, until they are reported.

Where units keep their variant, one client that fails all the time counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from headrace_servicekit.errors import Code

from headrace_router.data.tables.table import point_of

# Of a variant: the smallest, as many as the monitor's sketch has (libs/statistics, `distinct.py`).
HASHES = 1024
# Variants; those of more models than have so many at once are left out.
MAX_VARIANTS = 1024

# Codes that are the installation's fault, or look so to a caller.
FAULTS = frozenset(
    (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)
# Codes that are a caller's, or a version's that takes less than another one.
REFUSALS = frozenset((Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE))


class VariantKey(NamedTuple):
    """A variant of a model, and its version."""

    model: str
    version: str
    variant: str


class VariantUnits:
    """Units of one kind since they were reported."""

    def __init__(self) -> None:
        self._hashes: dict[VariantKey, set[int]] = {}

    def add(self, key: VariantKey, unit: str) -> None:
        """Note a unit."""
        hashes = self._hashes.get(key)
        if hashes is None:
            if len(self._hashes) >= MAX_VARIANTS:
                return
            hashes = self._hashes[key] = set()
        hashes.add(point_of(unit))
        if len(hashes) >= 2 * HASHES:
            self._hashes[key] = set(sorted(hashes)[:HASHES])

    def unreported(self) -> Iterator[tuple[VariantKey, list[int]]]:
        """Yield the hashes of each variant, rising."""
        for key, hashes in self._hashes.items():
            yield key, sorted(hashes)[:HASHES]

    def acknowledged(self, reported: Mapping[VariantKey, list[int]]) -> None:
        """Forget what was reported."""
        for key, hashes in reported.items():
            left = self._hashes.get(key, set()) - set(hashes)
            # What a full report left out is larger than all that it has.
            if left and len(hashes) < HASHES:
                self._hashes[key] = left
            else:
                self._hashes.pop(key, None)
