"""Counts of numbers on edges that were frozen at the reference's quantiles.

Edges come from the reference alone. Edges between the smallest and largest value of both sides, as PSI is often
computed, are set by a single outlier: then everything else falls into one bin and no drift is ever seen.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headrace_statistics.arrays import Counts, Floats, counts, finite, floats, thinned

# For KS, which loses at most 1/200 to edges, and grouped into tenths for PSI.
FINE_BINS = 200
# Values at a time: what is made on the way stays small, whatever comes.
_ROWS = 1 << 16
_CELLS = 1 << 13


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Inner edges, ascending: bin k is (inner[k-1], inner[k]], the first and last are open to infinity.

    inner: shape (bins - 1,). low, high: what counts as within range; -inf and inf where nothing is known.
    """

    inner: Floats
    low: float
    high: float

    @property
    def bins(self) -> int:
        return self.inner.size + 1

    @property
    def digest(self) -> str:
        """Names these edges: only counts on the same edges may be added or compared."""
        return hashlib.blake2b(
            self.inner.tobytes(), key=f"{self.low!r} {self.high!r}".encode()[:64], digest_size=8
        ).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class BinCounts:
    """counts: shape (bins,), of finite values. below, above: those of them that lie out of range.

    missing: NaN. infinite: either infinity. edges: digest of the edges.
    """

    counts: Counts
    below: int
    above: int
    missing: int
    infinite: int
    edges: str

    @property
    def finite(self) -> int:
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        return self.finite + self.missing + self.infinite

    def merge(self, other: "BinCounts") -> "BinCounts":
        """Add up. Raises ValueError for counts on other edges."""
        if self.edges != other.edges:
            raise ValueError(f"counts on edges {self.edges} and {other.edges} cannot be added")
        return BinCounts(
            counts(self.counts + other.counts),
            self.below + other.below,
            self.above + other.above,
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.edges,
        )

    def thinned(self, share: float) -> "BinCounts":
        """Return what is expected of such a share of the rows, drawn by chance."""
        missing, infinite, *binned = thinned([self.missing, self.infinite, *self.counts], share).tolist()
        finite = sum(binned)
        below = min(round(self.below * share), finite)
        above = min(round(self.above * share), finite - below)
        return BinCounts(counts(binned), below, above, missing, infinite, self.edges)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BinCounts):
            return NotImplemented
        mine = (self.below, self.above, self.missing, self.infinite, self.edges)
        theirs = (other.below, other.above, other.missing, other.infinite, other.edges)
        return mine == theirs and np.array_equal(self.counts, other.counts)

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def freeze(values: ArrayLike, *, declared: tuple[float, float] | None = None, bins: int = FINE_BINS) -> Edges:
    """Return edges at the quantiles of the finite values: at most 4 * bins of them.

    A value that holds a whole bin's share or more (zero-inflated counts, say) gets a bin of its own, and so does each
    where there are no more than `bins` different ones. What one value leaves that holds most of them has quantiles of
    its own. Below the least value and above the largest are bins in which nothing of the reference lies. declared: the
    range that the contract declares; without it, that of the values.
    """
    array = np.sort(finite(values))
    if array.size == 0:
        low, high = declared or (-np.inf, np.inf)
        return Edges(floats([]), low, high)
    low, high = declared or (float(array[0]), float(array[-1]))
    distinct, times = np.unique(array, return_counts=True)
    if distinct.size <= bins:
        at, atoms = distinct, distinct
    else:
        at, atoms = _quantiles(array, bins)
        most = int(times.argmax())
        if times[most] * 2 > array.size:
            rest = _quantiles(array[array != distinct[most]], bins)
            at, atoms = np.union1d(at, rest[0]), np.union1d(atoms, rest[1])
    inner = np.concatenate([at, _next_below(atoms), _next_below(array[:1]), array[-1:]])
    return Edges(floats(np.unique(inner[np.isfinite(inner)])), low, high)


def _quantiles(array: Floats, bins: int) -> tuple[Floats, Floats]:
    """Return the quantiles of sorted values, and those of them that hold a whole bin's share or more."""
    ranks = (np.arange(1, bins) * array.size + bins - 1) // bins - 1
    at, times = np.unique(array[ranks], return_counts=True)
    return at, at[times > 1]


def spike(reference: Counts, edges: Edges, *, share: float) -> int | None:
    """Return the bin of a single value that holds at least such a share of the reference; None where there is none."""
    total, place = int(reference.sum()), int(reference.argmax())
    if total == 0 or reference[place] < share * total or not 0 < place < edges.inner.size:
        return None
    return place if edges.inner[place - 1] == _next_below(edges.inner[place]) else None


def count(values: ArrayLike, edges: Edges) -> BinCounts:
    """Count values of any shape on the edges."""
    array = np.asarray(values, dtype=np.float64).ravel()
    into = np.zeros(edges.bins, dtype=np.int64)
    missing = below = above = negative = positive = 0
    for start in range(0, array.size, _ROWS):
        part = array[start : start + _ROWS]
        into += np.bincount(places(part, edges.inner), minlength=edges.bins)
        lowest, highest = part.min(), part.max()
        if lowest >= edges.low and highest <= edges.high and highest < np.inf and lowest > -np.inf:
            continue  # the usual case; either extreme of a part with a NaN is NaN
        missing += int(np.isnan(part).sum())
        negative += int((part == -np.inf).sum())
        positive += int((part == np.inf).sum())
        below += int((part < edges.low).sum())
        above += int((part > edges.high).sum())
    into[0] -= missing + negative
    into[-1] -= positive
    below -= negative if edges.low > -np.inf else 0
    above -= positive if edges.high < np.inf else 0
    return BinCounts(counts(into), below, above, missing, negative + positive, edges.digest)


def places(part: Floats, inner: Floats) -> NDArray[np.intp]:
    """Return how many edges each value is greater than; 0 for NaN. Searching takes most of the time of an evaluation.

    The outermost edges are compared with every value: they may be far from all others.
    """
    if part.size < _CELLS or inner.size < 4:
        return _searched(part, inner)
    found = _within(part, inner[1:-1])
    found += part > inner[0]
    found += part > inner[-1]
    return found


def _within(part: Floats, inner: Floats) -> NDArray[np.intp]:
    """Return the same: edges are found by a grid of even cells where no cell has more than two of them.

    Cells do not fall as values rise, whatever is rounded: edges of lower cells are smaller than a value, those of
    higher ones are not, and only those of its own are compared.
    """
    low, high = inner[0], inner[-1]
    with np.errstate(over="ignore"):
        scale = _CELLS / (high - low)
    if not (np.isfinite(scale) and scale > 0):
        return _searched(part, inner)

    def cells(of: Floats) -> NDArray[np.intp]:
        return ((np.fmin(np.fmax(of, low), high) - low) * scale).astype(np.intp)

    of_edges = cells(inner)
    most = int(np.bincount(of_edges).max())
    if most > 2:
        return _searched(part, inner)
    # One more cell than there are: rounding may take the highest edge there.
    lower = np.searchsorted(of_edges, np.arange(_CELLS + 2), side="left")
    places = lower[cells(part)]
    padded = np.append(inner, np.inf)
    for _ in range(most):
        places += part > padded[places]
    return places


def _searched(part: Floats, inner: Floats) -> NDArray[np.intp]:
    places = np.searchsorted(inner, part, side="left")
    places[np.isnan(part)] = 0
    return places


def _next_below(values: ArrayLike) -> Floats:
    with np.errstate(over="ignore"):  # below the least finite value is -inf, as it should be
        return np.nextafter(values, -np.inf)


def grouped(reference: Counts, groups: int) -> Counts:
    """Return which of `groups` groups of like reference share each bin belongs to, shape (bins,), ascending from 0.

    Groups are runs of bins. There are fewer of them when a few bins hold most of the reference.
    """
    total = int(reference.sum())
    if total == 0:
        return counts(np.zeros(reference.size))
    middle = np.cumsum(reference) - reference / 2
    wanted = np.minimum(np.floor(middle / total * groups), groups - 1).astype(np.int64)
    return counts(np.unique(wanted, return_inverse=True)[1])


def added_up(binned: Counts, groups: Counts) -> Counts:
    """Add up counts of bins by group: (..., bins) to (..., groups)."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.add.reduceat(binned, starts, axis=-1)
