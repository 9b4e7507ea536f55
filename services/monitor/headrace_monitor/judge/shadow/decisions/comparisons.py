"""What pairs of answers amount to. Everything merges, in any order: counts, buckets, the rows with the smallest hashes
as a sample, and the worst rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from headrace_statistics.proportions import Proportion
from headrace_statistics.sketches.durations import (
    BUCKETS,
    BUCKETS_PER_DOUBLING,
    NONE,
    SHORTEST_LOG2_S,
    Durations,
    durations,
    merge,
)

# Of all rows that were compared: enough for a correlation and a picture.
SAMPLE = 500
WORST = 20
# Values of attributes with most rows.
SLICES = 200


class SampledRow(NamedTuple):
    """One row of the sample. point: hash by which it was chosen."""

    point: int
    value: float
    shadow_value: float


class WorstRow(NamedTuple):
    """A row that differs much. size: by which rows are ranked; a flip is larger than any difference of numbers."""

    size: float
    prediction_id: str
    row: int
    answer: str
    shadow_answer: str


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """Rows with an attribute that have labels on both sides, and those whose label differs; and as of all rows."""

    rows: int = 0
    flips: int = 0
    flips_squared: int = 0

    def plus(self, other: SliceCounts) -> SliceCounts:
        """Return the sum."""
        return SliceCounts(*(mine + more for mine, more in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pairs of one version and its shadow.

    pairs, rows: that the shadow answered. errors: of the shadow, by code. unlike: pairs whose answers have nothing in
    common to compare. flips: rows whose label differs, of those with labels; flips_squared: the sum of the squares of
    each pair's. nan: rows in which the shadow alone has a NaN. same: rows whose numbers are equal; differences,
    relative: of the others, in buckets like those of durations, the difference of the values and its share of the
    larger one; largest: difference. took, shadow_took: in batchers.
    """

    pairs: int = 0
    rows: int = 0
    errors: Mapping[int, int] = field(default_factory=dict)
    unlike: int = 0
    flips: Proportion = field(default_factory=lambda: Proportion(0, 0))
    nan: int = 0
    same: int = 0
    differences: Durations = NONE
    relative: Durations = NONE
    largest: float = 0.0
    took: Durations = NONE
    shadow_took: Durations = NONE
    slices: Mapping[str, SliceCounts] = field(default_factory=dict)
    sample: tuple[SampledRow, ...] = ()
    worst: tuple[WorstRow, ...] = ()
    flips_squared: int = 0


def merged(parts: Iterable[Comparison]) -> Comparison:
    """Return the sum of comparisons."""
    comparisons = list(parts)
    if len(comparisons) == 1:
        return comparisons[0]
    errors: Counter[int] = Counter()
    slices: dict[str, SliceCounts] = {}
    for part in comparisons:
        errors.update(part.errors)
        for name, counts in part.slices.items():
            slices[name] = slices.get(name, SliceCounts()).plus(counts)
    return Comparison(
        pairs=sum(part.pairs for part in comparisons),
        rows=sum(part.rows for part in comparisons),
        errors=dict(errors),
        unlike=sum(part.unlike for part in comparisons),
        flips=Proportion(sum(part.flips.count for part in comparisons), sum(part.flips.of for part in comparisons)),
        nan=sum(part.nan for part in comparisons),
        same=sum(part.same for part in comparisons),
        differences=merge(part.differences for part in comparisons),
        relative=merge(part.relative for part in comparisons),
        largest=max((part.largest for part in comparisons), default=0.0),
        took=merge(part.took for part in comparisons),
        shadow_took=merge(part.shadow_took for part in comparisons),
        slices=most_frequent(slices),
        sample=tuple(sorted({row for part in comparisons for row in part.sample})[:SAMPLE]),
        worst=worst_of(row for part in comparisons for row in part.worst),
        flips_squared=sum(part.flips_squared for part in comparisons),
    )


def most_frequent(slices: Mapping[str, SliceCounts]) -> dict[str, SliceCounts]:
    """Return the slices with most rows."""
    return dict(sorted(slices.items(), key=lambda item: (-item[1].rows, item[0]))[:SLICES])


def worst_of(rows: Iterable[WorstRow]) -> tuple[WorstRow, ...]:
    """Return the rows that differ most."""
    return tuple(sorted(set(rows), key=lambda one: (-one.size, one.prediction_id, one.row))[:WORST])


def bucketed(values: np.ndarray) -> Durations:
    """Return numbers above 0 in buckets of 1 %, as durations are counted."""
    if not values.size:
        return NONE
    places = np.floor((np.log2(values) - SHORTEST_LOG2_S) * BUCKETS_PER_DOUBLING)
    return durations(0, np.bincount(np.clip(places, 0, BUCKETS - 1).astype(np.int64), minlength=1))


def quantile(sketch: Durations, same: int, q: float) -> float:
    """Return a quantile of differences, of which `same` are 0; nan where there are none."""
    total = same + sketch.count
    if not total:
        return float("nan")
    rank = q * (total - 1)
    return 0.0 if rank < same else sketch.quantile_s((rank - same) / max(1, sketch.count - 1))


def to_json(one: Comparison) -> str:
    """Return a comparison as it is stored."""
    plain = {
        "pairs": one.pairs,
        "rows": one.rows,
        "errors": {str(code): count for code, count in one.errors.items()},
        "unlike": one.unlike,
        "flips": [one.flips.count, one.flips.of],
        "nan": one.nan,
        "same": one.same,
        "largest": one.largest,
        "flips_squared": one.flips_squared,
        "slices": {name: [counts.rows, counts.flips] for name, counts in one.slices.items()},
        # A separate field: the previous release reads two numbers per slice.
        "slice_squares": {name: counts.flips_squared for name, counts in one.slices.items()},
        "sample": one.sample,
        "worst": one.worst,
        **{name: _sketch(getattr(one, name)) for name in _SKETCHES},
    }
    return json.dumps(plain, separators=(",", ":"))


def from_json(text: str) -> Comparison:
    """Return the comparison that `to_json` was given."""
    plain: dict[str, Any] = json.loads(text)
    squares = plain.get("slice_squares", {})
    return Comparison(
        pairs=plain["pairs"],
        rows=plain["rows"],
        errors={int(code): count for code, count in plain["errors"].items()},
        unlike=plain["unlike"],
        flips=Proportion(*plain["flips"]),
        nan=plain["nan"],
        same=plain["same"],
        largest=plain["largest"],
        slices={
            name: SliceCounts(rows, flips, squares.get(name, 0)) for name, (rows, flips) in plain["slices"].items()
        },
        sample=tuple(SampledRow(*row) for row in plain["sample"]),
        worst=tuple(WorstRow(*row) for row in plain["worst"]),
        flips_squared=plain.get("flips_squared", 0),
        **{name: durations(*plain[name]) for name in _SKETCHES},
    )


_SKETCHES = ("differences", "relative", "took", "shadow_took")


def _sketch(sketch: Durations) -> tuple[int, list[int]]:
    return sketch.first, sketch.counts.tolist()
