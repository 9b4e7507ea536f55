"""What is tolerated of each column, as it was set for a model, and what can be found beyond it at its traffic. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from headrace_statistics.drift import detectable
from headrace_statistics.drift.tolerances import Tolerances
from headrace_statistics.inconclusive import Inconclusive, NotEnoughData
from headrace_statistics.references import (
    PSI_GROUPS,
    CategoricalReference,
    ColumnReference,
    EmbeddingReference,
    NumericReference,
    Reference,
    independent,
)

# What may be set, with its field and the largest that means anything.
TESTS: Mapping[str, tuple[str, float]] = {
    "psi": ("psi", 10.0),
    "ks": ("ks", 1.0),
    "chi_square": ("categories", 4.0),
    "exact_shares": ("category_share", 1.0),
    "embedding": ("embedding", 10.0),
    "share": ("share", 1.0),
}
_OF_KIND: Mapping[type[ColumnReference], tuple[str, ...]] = {
    NumericReference: ("psi", "ks", "share"),
    CategoricalReference: ("chi_square", "exact_shares", "share"),
    EmbeddingReference: ("embedding", "share"),
}
MAX_RULES = 1_000


@dataclass(frozen=True, slots=True)
class ToleranceRule:
    """A tolerance of a drift test. column: empty for all columns without a separate rule."""

    column: str
    test: str
    tolerance: float


@dataclass(frozen=True, slots=True)
class Detectable:
    """What is tolerated of a column by a test. effect: what nine of ten evaluations find, in the test's unit; None
    where that is not known. shift: the same of a normal, in standard deviations.
    """

    column: str
    test: str
    tolerance: float
    set: bool
    effect: float | None = None
    shift: float | None = None
    inconclusive: Inconclusive | None = None


def problem(test: str, tolerance: float | None) -> str:
    """Return what is wrong with a tolerance; empty if nothing is."""
    if test not in TESTS:
        return f"is not one of {', '.join(TESTS)}"
    most = TESTS[test][1]
    if tolerance is not None and not (math.isfinite(tolerance) and 0 <= tolerance <= most):
        return f"tolerance {tolerance:g} is not between 0 and {most:g}"
    return ""


def tolerances_of(rules: Iterable[ToleranceRule], column: str) -> Tolerances:
    """Return the tolerances of a column: its own rules, else those for all columns, else the defaults."""
    listed = list(rules)
    for_all = {TESTS[rule.test][0]: rule.tolerance for rule in listed if not rule.column and rule.test in TESTS}
    own = {TESTS[rule.test][0]: rule.tolerance for rule in listed if rule.column == column and rule.test in TESTS}
    return replace(Tolerances(), **{**for_all, **(own if column else {})})


def detectables(reference: Reference, rules: Iterable[ToleranceRule], rows: int, level: float) -> Iterator[Detectable]:
    """Yield the tolerance and the smallest detectable effect of each test. rows: in a window. level: false alarm
    probability of an evaluation, of which each test gets its share (Benjamini-Hochberg).
    """
    listed = list(rules)
    tests = sum(len(_OF_KIND[type(frozen)]) for frozen in reference.columns.values())
    for column, frozen in reference.columns.items():
        tolerated = tolerances_of(listed, column)
        for test in _OF_KIND[type(frozen)]:
            rule = any(each.test == test and each.column in ("", column) for each in listed)
            tolerance = getattr(tolerated, TESTS[test][0])
            base = Detectable(column, test, tolerance, rule)
            yield _found(base, frozen, rows, level / max(tests, 1))


def _found(base: Detectable, frozen: ColumnReference, rows: int, level: float) -> Detectable:
    frozen = independent(frozen)
    n = frozen.summary.rows
    match base.test, frozen:
        case "psi", NumericReference():
            groups = int(frozen.groups[-1]) + 1
            effect = detectable.psi(n, rows, tolerance=base.tolerance, level=level, groups=min(groups, PSI_GROUPS))
        case "ks", _:
            effect = detectable.ks(n, rows, tolerance=base.tolerance, level=level)
        case "chi_square", CategoricalReference():
            there = int((frozen.summary.counts > 0).sum())
            effect = detectable.psi(n, rows, tolerance=base.tolerance, level=level, groups=max(there, 2))
        case "share" | "exact_shares", _:
            effect = detectable.rise(n, rows, tolerance=base.tolerance, level=level)
        case _:
            return base  # of embeddings it depends on the direction
    if isinstance(effect, NotEnoughData):
        return replace(base, inconclusive=effect)
    if base.test not in ("psi", "ks"):
        return replace(base, effect=effect)
    return replace(base, effect=effect, shift=detectable.in_standard_deviations(effect, of_ks=base.test == "ks"))
