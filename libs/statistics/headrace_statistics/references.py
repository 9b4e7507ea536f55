"""What windows are held against: frozen once from a version's reference data, kept with the version, and only data.

Edges, categories and spaces never move, so every window of a version can be compared with every other. A seasonal
reference (the same hour last week) is a window's counts put in the place of the reference's, on the same edges.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike

from headrace_statistics.arrays import Counts, floats
from headrace_statistics.drift import embedding
from headrace_statistics.inconclusive import Constant, NotEnoughData, Unreadable
from headrace_statistics.proportions import Proportion
from headrace_statistics.sketches import bins, categories, embeddings
from headrace_statistics.sketches.bins import BinCounts, Edges
from headrace_statistics.sketches.categories import Categories, CategoryCounts
from headrace_statistics.sketches.embeddings import EmbeddingSpace, EmbeddingSums
from headrace_statistics.sketches.moments import Moments, moments
from headrace_statistics.sketches.units import CELLS, Expected

PSI_GROUPS = 10


@dataclass(frozen=True, slots=True)
class NumericSummary:
    """What is kept of a numeric column in a window. unreadable: values that are no numbers at all."""

    bins: BinCounts
    moments: Moments
    unreadable: int = 0

    @property
    def rows(self) -> int:
        return self.bins.rows + self.unreadable

    def merge(self, other: "NumericSummary") -> "NumericSummary":
        return NumericSummary(
            self.bins.merge(other.bins), self.moments.merge(other.moments), self.unreadable + other.unreadable
        )

    def thinned(self, share: float) -> "NumericSummary":
        """Return what is expected of such a share of the rows, drawn by chance."""
        return NumericSummary(self.bins.thinned(share), self.moments.thinned(share), round(self.unreadable * share))


Summary = NumericSummary | CategoryCounts | EmbeddingSums


@dataclass(frozen=True, slots=True, eq=False)
class NumericReference:
    """groups: which of about ten groups of like share a fine bin belongs to, for PSI; shape (bins,). design_effect: how
    many of its rows count as one, because they belong together.
    """

    edges: Edges
    groups: Counts
    summary: NumericSummary
    design_effect: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalReference:
    """singletons, doubletons: how many categories the frozen rows had once, and twice; 0 where that is unknown, and
    beside counts of a season, which say themselves how many rows are of categories that the frozen rows had not. Where
    rows belong together: how many categories one unit had, and two. design_effect: as of numbers.
    """

    categories: Categories
    summary: CategoryCounts
    singletons: int = 0
    doubletons: int = 0
    design_effect: float = 1.0

    @property
    def unseen(self) -> Proportion:
        """Return what share of rows is to be expected of categories that the frozen rows did not have, as a proportion
        that is as uncertain as that estimate.

        Good (1953): the share of rows whose category they had once, N1/n. Its variance is (N1 (1 - N1/n) + 2 N2) / n^2
        with N2 categories seen twice (Esty 1983), more than that of N1 of n rows: so many fewer rows stand for it.
        """
        rows = self.summary.rows
        if self.singletons == self.doubletons == 0 or rows == 0:
            return Proportion(self.summary.new, rows)
        factor = 1 + 2 * self.doubletons / max(self.singletons * (1 - self.singletons / rows), 1.0)
        return Proportion(round(self.singletons / factor), max(round(rows / factor), 1))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingReference:
    """design_effect: as of numbers."""

    space: EmbeddingSpace
    law: embedding.Law
    summary: EmbeddingSums
    design_effect: float = 1.0


ColumnReference = NumericReference | CategoricalReference | EmbeddingReference


class Source(enum.Enum):
    """Where a reference's rows came from."""

    ARTIFACT = "artifact"  # reference.parquet of the registered version
    WINDOW = "window"  # predictions of a chosen time
    SEASON = "season"  # counts of an earlier window on the edges of another reference


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """name: of the artifact, or the window's bounds. unfit: columns that could not be frozen, and why."""

    source: Source
    name: str
    frozen_at: datetime
    columns: Mapping[str, ColumnReference]
    unfit: Mapping[str, NotEnoughData | Constant | Unreadable]


def freeze_numeric(values: ArrayLike, *, declared: tuple[float, float] | None = None) -> NumericReference:
    """Freeze a numeric column. declared: the range of the contract, else that of the values."""
    edges = bins.freeze(values, declared=declared)
    summary = summarise_numeric(values, edges)
    return NumericReference(edges, bins.grouped(summary.bins.counts, PSI_GROUPS), summary)


def freeze_categorical(values: Iterable[object]) -> CategoricalReference:
    """Freeze a categorical column."""
    return freeze_category_counts(categories.named((value, 1) for value in values))


def freeze_category_counts(seen: Mapping[str | None, int]) -> CategoricalReference:
    """Freeze a categorical column from counts by name; None is a missing value."""
    frozen = categories.freeze_counts(seen)
    rare = Counter(times for name, times in seen.items() if name is not None and times <= 2)
    return CategoricalReference(frozen, categories.from_counts(seen, frozen), rare[1], rare[2])


def freeze_embedding(values: ArrayLike, rng: np.random.Generator) -> EmbeddingReference | NotEnoughData | Constant:
    """Freeze an embedding column, shape (rows, dimensions). rng: chooses the features; seed it and it is repeatable."""
    space = embeddings.freeze(values, rng)
    if not isinstance(space, EmbeddingSpace):
        return space
    return EmbeddingReference(space, embedding.law(values, space, rng), embeddings.summarise(values, space))


def summarise_numeric(values: ArrayLike, edges: Edges, *, unreadable: int = 0) -> NumericSummary:
    """Summarise a window's values of a numeric column."""
    return NumericSummary(bins.count(values, edges), moments(values), unreadable)


def summarise(column: ColumnReference, values: ArrayLike | Iterable[object]) -> Summary:
    """Summarise a window's values as the column's reference needs them; what is no number counts as unreadable."""
    match column:
        case NumericReference():
            numbers, unreadable = _numbers(values)
            return summarise_numeric(numbers, column.edges, unreadable=unreadable)
        case CategoricalReference():
            return categories.count(np.asarray(values, dtype=object).ravel().tolist(), column.categories)
        case EmbeddingReference():
            return _embeddings(values, column.space)


def seasonal(reference: Reference, season: Mapping[str, Summary], *, name: str, at: datetime) -> Reference:
    """Return the reference with counts of an earlier window in place of its own; columns without any are left out."""
    columns = {
        column: _with_counts(frozen, season[column]) for column, frozen in reference.columns.items() if column in season
    }
    return Reference(Source.SEASON, name, at, columns, reference.unfit)


def _with_counts(frozen: ColumnReference, season: Summary) -> ColumnReference:
    if isinstance(frozen, CategoricalReference):
        return replace(frozen, summary=season, singletons=0, doubletons=0, design_effect=1.0)
    return replace(frozen, summary=season, design_effect=1.0)


def independent(frozen: ColumnReference) -> ColumnReference:
    """Return a column with as many rows as its rows are worth."""
    if not frozen.design_effect > 1:
        return frozen
    return replace(frozen, summary=frozen.summary.thinned(1 / frozen.design_effect), design_effect=1.0)  # pyright: ignore[reportArgumentType]


def _numbers(values: object) -> tuple[np.ndarray, int]:
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64).ravel(), 0
    numbers, unreadable = [], 0
    for value in np.asarray(values, dtype=object).ravel():
        if value is None:
            numbers.append(np.nan)
        elif isinstance(value, int | float | np.number):
            numbers.append(_as_float(value))
        else:
            unreadable += 1
    return np.array(numbers, dtype=np.float64), unreadable


def _as_float(value: float | np.number) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond float64
        return np.inf if value > 0 else -np.inf


def _embeddings(values: object, space: EmbeddingSpace) -> EmbeddingSums:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # rows of different lengths, or no numbers
        rows = list(values) if isinstance(values, Iterable) else []
        fit = [row for row in rows if _fits(row, space.dimensions)]
        part = embeddings.summarise(np.array(fit, dtype=np.float64).reshape(-1, space.dimensions), space)
        return replace(part, unusable=part.unusable + len(rows) - len(fit))
    return embeddings.summarise(array, space)


def _fits(row: object, dimensions: int) -> bool:
    try:
        return np.asarray(row, dtype=np.float64).shape == (dimensions,)
    except (TypeError, ValueError):
        return False


def expected_of_units(frozen: ColumnReference) -> Expected | None:
    """Return the means of the reference's rows that windows' units are held against; None for embeddings."""
    match frozen:
        case NumericReference() if frozen.summary.bins.finite:
            shares = frozen.summary.bins.counts / frozen.summary.bins.finite
            return Expected(floats(np.bincount(frozen.groups, shares)), float(np.arange(shares.size) @ shares))
        case CategoricalReference() if rows := int(frozen.summary.with_others.sum()):
            first = frozen.summary.counts[:-1][: CELLS - 1] / rows
            return Expected(floats([*first, 1 - first.sum()]))
        case _:
            return None
