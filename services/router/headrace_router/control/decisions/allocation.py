"""Which buckets belong to which variant, and how few of them a change of weights moves.

A variant that keeps or grows its share keeps every bucket it has; a variant that shrinks gives up exactly the
difference, and only variants that grow receive. Everything is decided by names, weights and the ranges before: the
order in which variants are declared, the machine and the time play no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from headrace_router.buckets import BUCKETS


@dataclass(frozen=True, slots=True)
class Range:
    """Buckets of one variant: from where the range before ended up to, and without, `end`."""

    end: int
    variant: str


Ranges = tuple[Range, ...]


def allocate(before: Ranges, weights: Mapping[str, float]) -> Ranges:
    """Return the ranges after a change to `weights`, moving as few buckets as the shares need.

    before: covers all buckets, or empty when nothing is allocated yet. weights: by variant name, at least one above
    zero.
    """
    held = counts_of(before)
    wanted = bucket_counts(weights, held)
    cells = _owned(before, wanted)
    _grow_in_place(cells, wanted)
    _fill(cells, wanted)
    return _coalesced(cells)


def bucket_counts(weights: Mapping[str, float], held: Mapping[str, int]) -> dict[str, int]:
    """Return how many buckets each variant is to have: its exact share, rounded up or down, BUCKETS in all.

    Where rounding leaves a choice, a variant keeps the bucket that it holds, then the largest remainder gets it
    (Hamilton's method), then the first name.
    """
    total = sum((Fraction(weight) for weight in weights.values()), Fraction(0))
    if total <= 0:
        raise ValueError("at least one weight must be above zero")
    exact = {name: Fraction(weight) / total * BUCKETS for name, weight in weights.items()}
    counts = {name: int(share) for name, share in exact.items()}
    spare = BUCKETS - sum(counts.values())
    fractional = [name for name in exact if exact[name] > counts[name]]
    fractional.sort(key=lambda name: (held.get(name, 0) <= counts[name], counts[name] - exact[name], name))
    for name in fractional[:spare]:
        counts[name] += 1
    return counts


def counts_of(ranges: Ranges) -> dict[str, int]:
    """Return the number of buckets of each variant that has any."""
    counts: dict[str, int] = {}
    start = 0
    for one in ranges:
        counts[one.variant] = counts.get(one.variant, 0) + one.end - start
        start = one.end
    return counts


def moved_buckets(before: Ranges, after: Ranges) -> int:
    """Return the number of buckets whose variant differs; buckets that had none count as moved."""
    moved, start = 0, 0
    ends = sorted({one.end for one in (*before, *after)})
    for end in ends:
        if variant_at(before, start) != variant_at(after, start):
            moved += end - start
        start = end
    return moved


def variant_at(ranges: Ranges, bucket: int) -> str | None:
    """Return the variant that a bucket belongs to."""
    return next((one.variant for one in ranges if bucket < one.end), None)


def renamed(ranges: Ranges, names: Mapping[str, str]) -> Ranges:
    """Return the ranges with variants renamed; those without a new name keep theirs."""
    return tuple(Range(one.end, names.get(one.variant, one.variant)) for one in ranges)


@dataclass(slots=True)
class _Cell:
    """Consecutive buckets and their owner while buckets change hands; no owner means free."""

    start: int
    end: int
    owner: str | None

    @property
    def size(self) -> int:
        return self.end - self.start


def _owned(before: Ranges, wanted: Mapping[str, int]) -> list[_Cell]:
    """Return the cells before the change; what belonged to variants that are gone is free, as is an empty table."""
    cells, start = [], 0
    for one in before or (Range(BUCKETS, ""),):
        cells.append(_Cell(start, one.end, one.variant if one.variant in wanted else None))
        start = one.end
    return cells


def _grow_in_place(cells: list[_Cell], wanted: Mapping[str, int]) -> None:
    """Move buckets across borders between a variant that grows and a neighbour that shrinks, which adds no range."""
    surplus = _surplus(cells, wanted)
    for at in range(1, len(cells)):
        for giver, taker, at_left in ((cells[at], cells[at - 1], True), (cells[at - 1], cells[at], False)):
            size = min(_excess(giver, surplus), -surplus.get(taker.owner or "", 0), giver.size)
            if size <= 0 or taker.owner is None:
                continue
            border = giver.start + size if at_left else giver.end - size
            if at_left:
                taker.end = giver.start = border
            else:
                taker.start = giver.end = border
            surplus[taker.owner] += size
            if giver.owner is not None:
                surplus[giver.owner] -= size
    cells[:] = [cell for cell in cells if cell.size]


def _fill(cells: list[_Cell], wanted: Mapping[str, int]) -> None:
    """Give the rest of what shrinking variants give up to those that still lack buckets; whole small cells first."""
    surplus = _surplus(cells, wanted)
    takers = sorted(name for name, excess in surplus.items() if excess < 0)
    givers = sorted((cell for cell in cells if _excess(cell, surplus) > 0), key=lambda cell: (cell.size, cell.start))
    for cell in givers:
        while takers and (size := min(_excess(cell, surplus), cell.size)) > 0:
            taker = takers[0]
            size = min(size, -surplus[taker])
            if cell.owner is not None:
                surplus[cell.owner] -= size
            surplus[taker] += size
            if cell.owner is None:  # free buckets are dealt out from the first to the last
                cells.append(_Cell(cell.start, cell.start + size, taker))
                cell.start += size
            else:
                cells.append(_Cell(cell.end - size, cell.end, taker))
                cell.end -= size
            if surplus[taker] == 0:
                takers.pop(0)


def _surplus(cells: Iterable[_Cell], wanted: Mapping[str, int]) -> dict[str, int]:
    """Return by variant how many buckets it holds beyond what it is to have; negative while it lacks some."""
    surplus = {name: -count for name, count in wanted.items()}
    for cell in cells:
        if cell.owner is not None:
            surplus[cell.owner] += cell.size
    return surplus


def _excess(cell: _Cell, surplus: Mapping[str, int]) -> int:
    return cell.size if cell.owner is None else surplus[cell.owner]


def _coalesced(cells: Iterable[_Cell]) -> Ranges:
    ranges: list[Range] = []
    for cell in sorted(cells, key=lambda cell: cell.start):
        if cell.size == 0:
            continue
        assert cell.owner is not None, "every bucket has a variant: the counts add up to BUCKETS"
        if ranges and ranges[-1].variant == cell.owner:
            ranges.pop()
        ranges.append(Range(cell.end, cell.owner))
    return tuple(ranges)
