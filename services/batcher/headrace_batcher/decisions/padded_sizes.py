"""To which sizes the rows of a request are padded, so that rows of different sizes share a batch. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

# No request is padded to more than the largest message brings: sizes multiply where several dimensions vary.
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Padding:
    """Sizes that dimensions which vary are padded to, rising, and the value to pad with by input, 0 for the others."""

    sizes: tuple[int, ...]
    values: tuple[tuple[str, float], ...] = ()

    def size_for(self, size: int) -> int:
        """Return the least size that this one fits in; what is larger than all stays as it is."""
        at = bisect_left(self.sizes, size)
        return self.sizes[at] if at < len(self.sizes) else size


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a request. dims: its sizes, padded. cut: the size that each padded one of an answer is cut back
    to; without those that stay."""

    dims: tuple[int, ...]
    cut: tuple[tuple[int, int], ...]


def plan(padding: Padding, dims: tuple[int, ...], *, answers_vary: bool) -> Plan | None:
    """Return the padded sizes of a request; None when it needs no padding. answers_vary: whether outputs have variable
    sizes, which are recognised by the padded size. Where two sizes of a request pad to the same one an output's size is
    ambiguous, so nothing is padded.
    """
    padded = tuple(map(padding.size_for, dims))
    if padded == dims:
        return None
    before: dict[int, int] = {}
    for size, after in zip(dims, padded, strict=True):
        if answers_vary and before.setdefault(after, size) != size:
            return None
    cut = tuple((after, size) for after, size in before.items() if after != size)
    return Plan(padded, cut)
