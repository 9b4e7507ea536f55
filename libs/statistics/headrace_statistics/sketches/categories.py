"""Counts of categories that were frozen with the reference, and of what is new, in bounded memory.

New categories may be endless (an id that slipped in). Kept by name are those whose hashes are smallest: which they are
does not depend on how the stream was cut or in which order parts are merged, so their counts are exact and merging is
too.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from headrace_statistics.arrays import Counts, counts, thinned

# Categories of the reference that are counted one by one; the rarer ones share a place.
MAX_CATEGORIES = 255
MAX_NEW = 64
# Names are cut to this many characters.
MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class Categories:
    """names: by falling count, so that the most frequent come first. rest: names counted together, by hash."""

    names: tuple[str, ...]
    rest: frozenset[int] = frozenset()

    def has(self, name: str) -> bool:
        """Return whether the reference had the category."""
        return name in self.names or (bool(self.rest) and _hash(name) in self.rest)

    @property
    def digest(self) -> str:
        text = "\x00".join([*self.names, *map(str, sorted(self.rest))])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class CategoryCounts:
    """counts: shape (names + 1,), the last place is the rest's. new: rows of categories that the reference has not.

    new_names: up to MAX_NEW of them with their exact counts. new_dropped: whether there are others. missing: None and
    NaN.
    """

    counts: Counts
    new: int
    missing: int
    categories: str
    new_names: Mapping[str, int] = field(default_factory=dict)
    new_dropped: bool = False

    @property
    def rows(self) -> int:
        return int(self.counts.sum()) + self.new + self.missing

    @property
    def with_others(self) -> Counts:
        """Return the counts with rows of new categories in the last place, among those of the rest."""
        together = self.counts.copy()
        together[-1] += self.new
        return counts(together)

    def merge(self, other: "CategoryCounts") -> "CategoryCounts":
        """Add up. Raises ValueError for counts on other categories."""
        if self.categories != other.categories:
            raise ValueError(f"counts on categories {self.categories} and {other.categories} cannot be added")
        together = Counter(self.new_names)
        together.update(other.new_names)
        kept, dropped = _smallest_hashes(together)
        return CategoryCounts(
            counts(self.counts + other.counts),
            self.new + other.new,
            self.missing + other.missing,
            self.categories,
            kept,
            dropped or self.new_dropped or other.new_dropped,
        )

    def thinned(self, share: float) -> "CategoryCounts":
        """Return what is expected of such a share of the rows, drawn by chance."""
        names = list(self.new_names)
        others = self.new - sum(self.new_names.values())
        parts = thinned([*self.counts, self.missing, *self.new_names.values(), others], share).tolist()
        known, (missing, *new) = parts[: self.counts.size], parts[self.counts.size :]
        named = {name: count for name, count in zip(names, new, strict=False) if count}
        return CategoryCounts(counts(known), sum(new), missing, self.categories, named, self.new_dropped)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CategoryCounts):
            return NotImplemented
        mine = (self.new, self.missing, self.categories, self.new_names, self.new_dropped)
        theirs = (other.new, other.missing, other.categories, other.new_names, other.new_dropped)
        return mine == theirs and np.array_equal(self.counts, other.counts)

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def freeze(values: Iterable[object], *, most: int = MAX_CATEGORIES) -> Categories:
    """Return the categories of a reference."""
    return freeze_counts(Counter(map(_name, values)), most=most)


def freeze_counts(seen: Mapping[str | None, int], *, most: int = MAX_CATEGORIES) -> Categories:
    """Return the categories of a reference from counts by name; None is a missing value."""
    order = sorted((name for name in seen if name is not None), key=lambda name: (-seen[name], name))
    return Categories(tuple(order[:most]), frozenset(map(_hash, order[most:])))


def count(values: Iterable[object], categories: Categories) -> CategoryCounts:
    """Count values, whatever they are: numbers, booleans and bytes are categories by their text."""
    return from_counts(Counter(map(_name, values)), categories)


def named(seen: Iterable[tuple[object, int]]) -> Counter[str | None]:
    """Return counts by name from pairs of a value and how often it is there; None is a missing value."""
    into: Counter[str | None] = Counter()
    for value, times in seen:
        into[_name(value)] += times
    return into


def from_counts(seen: Mapping[str | None, int], categories: Categories) -> CategoryCounts:
    """Take over counts by name, as a query that groups gives them; None is a missing value."""
    place = {name: index for index, name in enumerate(categories.names)}
    into = np.zeros(len(categories.names) + 1, dtype=np.int64)
    fresh: Counter[str] = Counter()
    missing = 0
    for name, times in seen.items():
        if name is None:
            missing += times
        elif name in place:
            into[place[name]] += times
        elif categories.rest and _hash(name) in categories.rest:
            into[-1] += times
        else:
            fresh[name] += times
    kept, dropped = _smallest_hashes(fresh)
    return CategoryCounts(counts(into), fresh.total(), missing, categories.digest, kept, dropped)


def _smallest_hashes(seen: Mapping[str, int]) -> tuple[dict[str, int], bool]:
    if len(seen) <= MAX_NEW:
        return dict(sorted(seen.items())), False
    kept = sorted(seen, key=lambda name: (_hash(name), name))[:MAX_NEW]
    return {name: seen[name] for name in sorted(kept)}, True


def _name(value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if not text.isascii():  # halves of surrogate pairs, which text from JSON may have, have no UTF-8
        text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…{_hash(text):016x}"


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
