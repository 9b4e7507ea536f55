"""Changes that lie where a column had no values before, or among the few rows that are not zero."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Reference, Source

from tests.statistics import naive
from tests.statistics.figures import Figure, Table

AT = datetime(2026, 1, 1, tzinfo=UTC)
Draw = Callable[[np.random.Generator, int], np.ndarray]
DECLARED = (-100.0, 1_000.0)


def _zeros(share: float, scale: float = 1.0) -> Draw:
    return lambda rng, n: np.where(rng.random(n) < share, 0.0, scale * rng.lognormal(1, 1, n))


def _digits(five: float) -> Draw:
    return lambda rng, n: rng.choice([1.0, 2.0, 3.0, 4.0, five], n, p=[0.4, 0.3, 0.2, 0.07, 0.03])


# Before, now, and the rows of each side.
CASES: dict[str, tuple[Draw, Draw, int]] = {
    "90 % zeros become −50": (
        _zeros(0.9),
        lambda rng, n: np.where((drawn := _zeros(0.9)(rng, n)) == 0, -50.0, drawn),
        1_000,
    ),
    "a constant 3 becomes 7": (lambda _, n: np.full(n, 3.0), lambda _, n: np.full(n, 7.0), 1_000),
    "every 5 (3 % of rows) becomes 10": (_digits(5), _digits(10), 20_000),
    "95 % zeros, the rest twice as large": (_zeros(0.95), _zeros(0.95, 2.0), 100_000),
    "95 % zeros, the rest twice as many": (_zeros(0.95), _zeros(0.90), 100_000),
    "99.5 % zeros, the rest twice as large": (_zeros(0.995), _zeros(0.995, 2.0), 100_000),
    "99.5 % zeros, the rest twice as many": (_zeros(0.995), _zeros(0.99), 100_000),
}


# As they come every hour: pixels, and counts that are mostly one.
CLEAN: dict[str, Draw] = {
    "95 % zeros": _zeros(0.95),
    "99.5 % zeros": _zeros(0.995),
    "98 % zeros, the rest sixteenths": lambda rng, n: np.where(rng.random(n) < 0.98, 0.0, rng.integers(1, 17, n) / 16),
    "91 % zeros, most of the rest 1": lambda rng, n: np.where(
        rng.random(n) < 0.91, 0.0, np.where(rng.random(n) < 0.7, 1.0, rng.integers(2, 9, n))
    ),
    "five digits": _digits(5),
}


def blind_spots(rng: np.random.Generator, runs: int) -> Table:
    """At the level of an hourly evaluation, with a declared range that allows everything. Naive: PSI on ten widths."""
    figures = []
    for what, (before, now, rows) in CASES.items():
        repeats = max(runs * 1_000 // rows, 5)
        found = [_alarms(rng, before, now, rows) for _ in range(repeats)]
        plain = [naive.psi_alarms(before(rng, rows), now(rng, rows)) for _ in range(repeats)]
        figures.append(
            Figure(
                f"{what}, n = m = {rows:,}",
                f"{np.mean(found):.0%}",
                "100 %",
                all(found),
                f"{np.mean(plain):.0%}",
            )
        )
    for what, draw in CLEAN.items():
        found = [_alarms(rng, draw, draw, 2_000) for _ in range(runs)]
        figures.append(
            Figure(f"{what}, no drift, n = m = 2,000", f"{np.mean(found):.1%}", "≤ 1 %", bool(np.mean(found) <= 0.01))
        )
    title = "Beyond what was there before, and among the few that are not zero: alarms of one of 168 hours a week"
    return Table(title, tuple(figures))


def _alarms(rng: np.random.Generator, before: Draw, now: Draw, rows: int) -> bool:
    column = references.freeze_numeric(before(rng, rows), declared=DECLARED)
    reference = Reference(Source.ARTIFACT, "", AT, {"x": column}, unfit={})
    window = {"x": references.summarise(column, now(rng, rows))}
    return any(report.alarm for report in evaluate(reference, window, level=AlarmBudget().level))
