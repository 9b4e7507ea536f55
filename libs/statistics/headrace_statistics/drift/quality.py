"""Is what comes in what was agreed? Missing, not finite, out of range, of another type, new or constant: counts of
rows, tested exactly against how often that happened in the reference.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.proportions import Proportion, ProportionChange, rise
from headrace_statistics.references import CategoricalReference, NumericReference, NumericSummary
from headrace_statistics.sketches.categories import CategoryCounts
from headrace_statistics.sketches.embeddings import EmbeddingSums

_EXAMPLES = 5


def of_numeric(
    column: str, kind: Kind, frozen: NumericReference, window: NumericSummary, tolerance: float
) -> list[DriftReport]:
    """Judge a numeric column. kind: of a change within the declared range. tolerance: rise of a share that is no
    alarm.
    """
    reference = frozen.summary
    shares = {
        Test.MISSING: lambda s: Proportion(s.bins.missing, s.rows),
        Test.NOT_FINITE: lambda s: Proportion(s.bins.infinite, s.rows),
        Test.TYPE: lambda s: Proportion(s.unreadable, s.rows),
    }
    reports = [_rise(column, test, of(reference), of(window), tolerance) for test, of in shares.items()]
    return [*reports, *_beyond(column, kind, frozen, window, tolerance), constant(column, reference, window)]


def _beyond(
    column: str, kind: Kind, frozen: NumericReference, window: NumericSummary, tolerance: float
) -> Iterator[DriftReport]:
    """Judge rows out of the declared range, and within it beyond the reference's extremes.

    Of n values, the share that lies beyond both extremes of all later ones has a beta law, whatever law they have: that
    of a share of which one of n rows was seen. So one row counts, though none can be there.
    """
    reference, edges = frozen.summary, frozen.edges
    out = Proportion(reference.bins.below + reference.bins.above, reference.rows)
    now = Proportion(window.bins.below + window.bins.above, window.rows)
    outermost = Proportion(_outermost(reference), reference.rows)
    declared = edges.inner.size == 0 or (edges.low, edges.high) != (
        float(np.nextafter(edges.inner[0], np.inf)),
        float(edges.inner[-1]),
    )
    yield _rise(column, Test.OUT_OF_RANGE, out if declared else _one_at_least(out), now, tolerance)
    # References that were frozen by older releases have no edges there, and rows in their outermost bins.
    if declared and reference.bins.finite and outermost.count == 0:
        now = Proportion(_outermost(window), window.rows)
        report = _rise(column, Test.BEYOND_REFERENCE, _one_at_least(outermost), now, tolerance)
        yield replace(report, kind=kind)


def _outermost(summary: NumericSummary) -> int:
    return int(summary.bins.counts[0] + summary.bins.counts[-1])


def _one_at_least(share: Proportion) -> Proportion:
    return Proportion(max(share.count, min(share.of, 1)), share.of)


def of_categories(
    column: str, frozen: CategoricalReference, window: CategoryCounts, tolerance: float
) -> list[DriftReport]:
    """Judge a categorical column; new categories are named, the most frequent first.

    Rows of categories that the reference has not are held against how many of them it lets expect: of 300 names, a
    thousand rows have never had all.
    """
    reference = frozen.summary
    missing = (Proportion(reference.missing, reference.rows), Proportion(window.missing, window.rows))
    return [_rise(column, Test.MISSING, *missing, tolerance), _new(column, frozen, window, tolerance)]


def _new(column: str, frozen: CategoricalReference, window: CategoryCounts, tolerance: float) -> DriftReport:
    """Ask both whether all new categories together have more rows than was to be expected, and whether the most
    frequent of them has (Bonferroni over the two, and over as many categories as may be missing from the reference).
    """
    names = sorted(window.new_names, key=lambda name: (-window.new_names[name], name))[:_EXAMPLES]
    now = Proportion(window.new, window.rows)
    report = _rise(column, Test.NEW_CATEGORIES, frozen.unseen, now, tolerance, examples=tuple(names))
    report = replace(report, n_reference=frozen.summary.rows)
    if report.p is None or not names:
        return report
    first = rise(
        Proportion(0, frozen.summary.rows), Proportion(window.new_names[names[0]], now.of), tolerance=tolerance
    )
    if not isinstance(first, ProportionChange):
        return report
    p = min(report.p, first.p * max(frozen.singletons + len(window.new_names), 1)) * 2
    return replace(report, effect=max(report.effect or 0.0, first.difference), p=min(p, 1.0))


def of_embeddings(column: str, reference: EmbeddingSums, window: EmbeddingSums, tolerance: float) -> list[DriftReport]:
    """Judge an embedding column: rows of another length, or with anything that is not finite."""
    before, now = Proportion(reference.unusable, reference.rows), Proportion(window.unusable, window.rows)
    return [_rise(column, Test.NOT_FINITE, before, now, tolerance)]


def constant(column: str, reference: NumericSummary, window: NumericSummary) -> DriftReport:
    """Does a column that varied hold a single value now? p: of m rows in the reference's fullest bin by chance."""
    n, m = reference.bins.finite, window.bins.finite
    report = DriftReport(column, Kind.QUALITY, Test.CONSTANT, n, m, tolerance=0.0, statistic=0.0, effect=0.0, p=1.0)
    varied = reference.moments.minimum < reference.moments.maximum
    still = m > 0 and window.moments.minimum == window.moments.maximum
    if not (varied and still):
        return report
    # An upper bound of that bin's share, so that a small reference does not make it too rare.
    share = (int(reference.bins.counts.max()) + 3) / (n + 3)
    p = math.exp(max(m * math.log(share), -690.0))
    value = f"{window.moments.minimum:g}"
    return DriftReport(
        column, Kind.QUALITY, Test.CONSTANT, n, m, 0.0, statistic=1.0, effect=1.0, p=p, examples=(value,)
    )


def _rise(
    column: str, test: Test, before: Proportion, now: Proportion, tolerance: float, *, examples: tuple[str, ...] = ()
) -> DriftReport:
    change = rise(before, now, tolerance=tolerance)
    if not isinstance(change, ProportionChange):
        return DriftReport(column, Kind.QUALITY, test, before.of, now.of, tolerance, inconclusive=change)
    return DriftReport(
        column,
        Kind.QUALITY,
        test,
        before.of,
        now.of,
        tolerance,
        statistic=now.value,
        effect=change.difference,
        p=change.p,
        examples=examples,
    )
