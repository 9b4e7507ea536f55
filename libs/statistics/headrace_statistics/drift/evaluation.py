"""Evaluate a window: every column against the reference, with the chance of any false alarm held to one level."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from headrace_statistics.drift import categorical, effect_sizes, embedding, ks, psi, quality, spikes
from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.drift.tolerances import Tolerances
from headrace_statistics.inconclusive import Constant, NotEnoughData
from headrace_statistics.multiplicity import benjamini_hochberg
from headrace_statistics.references import (
    CategoricalReference,
    ColumnReference,
    EmbeddingReference,
    NumericReference,
    NumericSummary,
    Reference,
    Summary,
    independent,
)
from headrace_statistics.severity import KS_SCALE, PROPORTION_SCALE, PSI_SCALE, Scale
from headrace_statistics.sketches import bins
from headrace_statistics.sketches.categories import CategoryCounts
from headrace_statistics.sketches.embeddings import EmbeddingSums

_SCALES: Mapping[Test, Scale] = {
    Test.PSI: PSI_SCALE,
    Test.KS: KS_SCALE,
    Test.REST_PSI: PSI_SCALE,
    Test.REST_KS: KS_SCALE,
    Test.CHI_SQUARE: PSI_SCALE,
    Test.EMBEDDING: Scale(medium=0.25, high=0.5),
}


def evaluate(
    reference: Reference,
    window: Mapping[str, Summary],
    *,
    level: float,
    tolerances: Tolerances | None = None,
    predictions: Iterable[str] = (),
    design_effects: Mapping[str, float] = MappingProxyType({}),
    column_tolerances: Mapping[str, Tolerances] = MappingProxyType({}),
) -> tuple[DriftReport, ...]:
    """Return every test of every column of the reference, by column.

    level: chance of any false alarm in this evaluation, `AlarmBudget.level`. predictions: the model's output columns.
    design_effects: of columns whose rows belong together (`sketches.units`): so many rows count as one.
    column_tolerances: of columns that have their own.
    A column that the window lacks, or that could not be frozen, is reported as inconclusive, with the reason.
    """
    tolerances = tolerances or Tolerances()
    out = frozenset(predictions)
    reports: list[DriftReport] = []
    for name, frozen in ((name, independent(column)) for name, column in reference.columns.items()):
        kind = Kind.PREDICTION if name in out else Kind.DATA
        summary, tolerated = window.get(name), column_tolerances.get(name, tolerances)
        if summary is None:
            reports.append(_absent(name, kind, frozen, tolerated))
        else:
            effect = max(design_effects.get(name, 1.0), 1.0)
            worth = summary if effect == 1 else summary.thinned(1 / effect)
            found = _evaluate_column(name, kind, frozen, worth, tolerated)
            reports.extend(found if effect == 1 else (replace(one, design_effect=effect) for one in found))
    for name, why in reference.unfit.items():
        kind = Kind.PREDICTION if name in out else Kind.DATA
        reports.append(DriftReport(name, kind, Test.PSI, 0, 0, tolerances.psi, inconclusive=why))
    return adjust(reports, level=level)


def adjust(reports: Iterable[DriftReport], *, level: float) -> tuple[DriftReport, ...]:
    """Return reports with adjusted p, alarm and severity, over all of them together (Benjamini-Hochberg)."""
    listed = list(reports)
    adjusted = benjamini_hochberg([np.nan if report.p is None else report.p for report in listed])
    return tuple(
        report if report.p is None else _adjusted(report, float(p), level)
        for report, p in zip(listed, adjusted, strict=True)
    )


def _adjusted(report: DriftReport, adjusted: float, level: float) -> DriftReport:
    alarm = adjusted <= level
    scale = _SCALES.get(report.test, PROPORTION_SCALE)
    severity = scale.severity(abs(report.effect or 0.0), alarm=alarm)
    return replace(report, adjusted_p=adjusted, alarm=alarm, severity=severity)


def _evaluate_column(
    name: str, kind: Kind, frozen: ColumnReference, summary: Summary, tolerances: Tolerances
) -> list[DriftReport]:
    match frozen, summary:
        case NumericReference(), NumericSummary():
            return [
                *_numeric(name, kind, frozen, summary, tolerances),
                *quality.of_numeric(name, kind, frozen, summary, tolerances.share),
            ]
        case CategoricalReference(), CategoryCounts():
            return [
                *_categorical(name, kind, frozen, summary, tolerances),
                *spikes.of_categories(name, kind, frozen, summary, tolerances),
                *quality.of_categories(name, frozen, summary, tolerances.share),
            ]
        case EmbeddingReference(), EmbeddingSums():
            return [
                _embedding(name, kind, frozen, summary, tolerances),
                *quality.of_embeddings(name, frozen.summary, summary, tolerances.share),
            ]
        case _:
            raise TypeError(
                f"column {name} was frozen as {type(frozen).__name__} and summarised as {type(summary).__name__}"
            )


def _numeric(
    name: str, kind: Kind, frozen: NumericReference, summary: NumericSummary, tolerances: Tolerances
) -> list[DriftReport]:
    before, now = frozen.summary.bins.counts, summary.bins.counts
    n, m = frozen.summary.bins.finite, summary.bins.finite
    blank = {
        Test.PSI: DriftReport(name, kind, Test.PSI, n, m, tolerances.psi),
        Test.KS: DriftReport(name, kind, Test.KS, n, m, tolerances.ks),
    }
    if n and frozen.summary.moments.minimum == frozen.summary.moments.maximum:
        constant = Constant(frozen.summary.moments.minimum)
        blank[Test.PSI] = replace(blank[Test.PSI], inconclusive=constant)
        if frozen.edges.bins == 1:  # frozen by an older release, without edges around the value
            blank[Test.KS] = replace(blank[Test.KS], inconclusive=constant)
    grouped = (bins.added_up(before, frozen.groups), bins.added_up(now, frozen.groups))
    changes = {
        Test.PSI: psi.compare(*grouped, tolerance=tolerances.psi),
        Test.KS: ks.compare(before, now, tolerance=tolerances.ks),
    }
    reports = [
        blank[test] if blank[test].inconclusive else _filled(blank[test], change) for test, change in changes.items()
    ]
    reports[0] = replace(reports[0], effect_sizes=effect_sizes.of_numbers(frozen, summary))
    return [*reports, *spikes.of_numeric(name, kind, frozen, summary, tolerances)]


def _categorical(
    name: str, kind: Kind, frozen: CategoricalReference, summary: CategoryCounts, tolerances: Tolerances
) -> list[DriftReport]:
    change = categorical.compare(
        frozen.summary, summary, tolerance=tolerances.categories, share_tolerance=tolerances.category_share
    )
    n, m = frozen.summary.rows, summary.rows
    test = Test.EXACT_SHARES if isinstance(change, categorical.CategoryChange) and change.exact else Test.CHI_SQUARE
    tolerance = tolerances.category_share if test is Test.EXACT_SHARES else tolerances.categories
    gone = categorical.vanished(frozen.summary, summary, frozen.categories, tolerance=tolerances.category_share)
    lost = DriftReport(name, kind, Test.VANISHED_CATEGORIES, n, m, tolerances.category_share)
    sizes = effect_sizes.of_counts(frozen.summary.with_others, summary.with_others)
    return [
        replace(_filled(DriftReport(name, kind, test, n, m, tolerance), change), effect_sizes=sizes),
        replace(lost, inconclusive=NotEnoughData(have=0, need=1))
        if m == summary.missing
        else replace(
            lost,
            statistic=float(len(gone.names)),
            effect=gone.share_before,
            p=gone.p,
            examples=gone.names[:5],
        ),
    ]


def _embedding(
    name: str, kind: Kind, frozen: EmbeddingReference, summary: EmbeddingSums, tolerances: Tolerances
) -> DriftReport:
    change = embedding.compare(frozen.summary, summary, frozen.space, frozen.law, tolerance=tolerances.embedding)
    n, m = frozen.summary.count, summary.count
    return _filled(DriftReport(name, kind, Test.EMBEDDING, n, m, tolerances.embedding), change)


_Change = psi.PsiChange | ks.KsChange | categorical.CategoryChange | embedding.EmbeddingChange


def _filled(report: DriftReport, change: _Change | NotEnoughData) -> DriftReport:
    if isinstance(change, NotEnoughData):
        return replace(report, inconclusive=change)
    return replace(report, statistic=change.statistic, effect=change.effect, p=change.p)


def _absent(name: str, kind: Kind, frozen: ColumnReference, tolerances: Tolerances) -> DriftReport:
    test = {NumericReference: Test.PSI, CategoricalReference: Test.CHI_SQUARE, EmbeddingReference: Test.EMBEDDING}
    none = NotEnoughData(have=0, need=psi.MIN_ROWS)
    return DriftReport(name, kind, test[type(frozen)], frozen.summary.rows, 0, tolerances.psi, inconclusive=none)
