"""New categories: alarms on clean columns whose reference has not had every name yet, and on a name that is new."""

import numpy as np
from headrace_statistics import references
from headrace_statistics.drift.quality import of_categories
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import CategoricalReference
from headrace_statistics.sketches import categories

from tests.statistics.figures import Figure, Table

HOURS = 168
NAMES = 300
ROWS = 1_000
TOLERANCE = 0.01


def new_categories(rng: np.random.Generator, weeks: int) -> Table:
    """Names drawn by their shares, installed tolerance and budget. References are drawn anew for each week. Naive: any
    row of a name that the reference has not.
    """
    zipf = 1 / np.arange(1, NAMES + 1)
    shapes = {
        f"{NAMES} names by Zipf's law": zipf / zipf.sum(),
        f"{NAMES} names alike": np.full(NAMES, 1 / NAMES),
        "100,000 names by Zipf's law": (1 / np.arange(1, 100_001)) / np.sum(1 / np.arange(1, 100_001)),
    }
    figures = []
    for name, shares in shapes.items():
        for rows in (200, ROWS, 20_000):
            hours = [_week(rng, shares, rows) for _ in range(weeks)]
            ours, naive = (np.array(each) for each in zip(*hours, strict=True))
            figures.append(
                Figure(
                    f"{name}, reference of {rows:,}, clean week of {HOURS} hours of {ROWS:,}",
                    f"{ours.mean():.2f} of {HOURS} hours, {np.mean(ours > 0):.0%} of weeks",
                    "≤ 5 % of weeks",
                    bool(np.mean(ours > 0) <= 0.05 + 3 * (0.05 * 0.95 / weeks) ** 0.5),
                    f"{naive.mean():.0f} of {HOURS} hours",
                )
            )
    found = [_found(rng, shapes[f"{NAMES} names by Zipf's law"], 0.1) for _ in range(weeks * 10)]
    figures.append(
        Figure(
            f"{NAMES} names by Zipf's law, reference of {ROWS:,}, 10 % of {ROWS:,} rows are a new one",
            f"{np.mean(found):.0%} of hours",
            "≥ 95 %",
            bool(np.mean(found) >= 0.95),
        )
    )
    return Table("New categories, tolerance 1 %, budget of .05 false alarms a week: alarms", tuple(figures))


def _week(rng: np.random.Generator, shares: np.ndarray, rows: int) -> tuple[int, int]:
    frozen, hours = _frozen(rng, shares, rows), rng.multinomial(ROWS, shares, HOURS)
    alarms = [_alarms(frozen, hour) for hour in hours]
    known = np.array([frozen.categories.has(str(index)) for index in range(shares.size)])
    return sum(alarms), int((hours[:, ~known].sum(axis=1) > 0).sum())


def _found(rng: np.random.Generator, shares: np.ndarray, share: float) -> bool:
    frozen = _frozen(rng, shares, ROWS)
    return _alarms(frozen, rng.multinomial(ROWS, np.r_[shares * (1 - share), share]))


def _frozen(rng: np.random.Generator, shares: np.ndarray, rows: int) -> CategoricalReference:
    return references.freeze_category_counts(_named(rng.multinomial(rows, shares)))


def _alarms(frozen: CategoricalReference, hour: np.ndarray) -> bool:
    window = categories.from_counts(_named(hour), frozen.categories)
    report = of_categories("name", frozen, window, TOLERANCE)[-1]
    return report.p is not None and report.p <= AlarmBudget().level


def _named(counts: np.ndarray) -> dict[str | None, int]:
    return {str(index): int(counts[index]) for index in np.flatnonzero(counts)}
