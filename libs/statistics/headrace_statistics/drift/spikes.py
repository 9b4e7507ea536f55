"""Columns of which nearly all rows have one value, such as zero: how many have another, and what these are.

Seen as a whole nothing that happens to one row of twenty exceeds a tolerance of one row of twenty.
"""

from dataclasses import replace

from headrace_statistics.arrays import Counts, counts
from headrace_statistics.drift import ks, psi
from headrace_statistics.drift.reports import DriftReport, Kind, Test
from headrace_statistics.drift.tolerances import Tolerances
from headrace_statistics.inconclusive import NotEnoughData
from headrace_statistics.proportions import Proportion, fall, rise
from headrace_statistics.references import PSI_GROUPS, CategoricalReference, NumericReference, NumericSummary
from headrace_statistics.sketches import bins
from headrace_statistics.sketches.categories import CategoryCounts

# Share of the rows that have one value from which it is asked about by itself.
SPIKE = 0.9


def of_numeric(
    name: str, kind: Kind, frozen: NumericReference, summary: NumericSummary, tolerances: Tolerances
) -> list[DriftReport]:
    """Return reports of a column with a spike; none for other columns."""
    before, now = frozen.summary.bins.counts, summary.bins.counts
    place = bins.spike(before, frozen.edges, share=SPIKE)
    if place is None or before[place] == before.sum():
        return []
    value = f"{frozen.edges.inner[place]:g}"
    rest = (_without(before, place), _without(now, place))
    n, m = (int(each.sum()) for each in rest)
    groups = bins.grouped(rest[0], PSI_GROUPS)
    grouped = (bins.added_up(rest[0], groups), bins.added_up(rest[1], groups))
    changes = {
        Test.REST_PSI: psi.compare(*grouped, tolerance=tolerances.psi),
        Test.REST_KS: ks.compare(*rest, tolerance=tolerances.ks),
    }
    reports = [_share(name, kind, Proportion(n, int(before.sum())), Proportion(m, int(now.sum())), tolerances, value)]
    for test, change in changes.items():
        blank = DriftReport(name, kind, test, n, m, tolerances.psi if test is Test.REST_PSI else tolerances.ks)
        if isinstance(change, NotEnoughData):
            reports.append(replace(blank, inconclusive=change))
        else:
            examples = (f"not {value}",)
            reports.append(
                replace(blank, statistic=change.statistic, effect=change.effect, p=change.p, examples=examples)
            )
    return reports


def of_categories(
    name: str, kind: Kind, frozen: CategoricalReference, summary: CategoryCounts, tolerances: Tolerances
) -> list[DriftReport]:
    """Return the same of categories, so that a column of zeros and ones is judged alike whatever its type is."""
    before, now = frozen.summary.with_others, summary.with_others
    n, m = int(before.sum()), int(now.sum())
    if not frozen.categories.names or before[0] < SPIKE * n or before[0] == n:
        return []
    shares = (Proportion(n - int(before[0]), n), Proportion(m - int(now[0]), m))
    return [_share(name, kind, *shares, tolerances, frozen.categories.names[0])]


def _share(
    name: str, kind: Kind, before: Proportion, now: Proportion, tolerances: Tolerances, value: str
) -> DriftReport:
    """Judge the share of the rest either way. A change by a third of it is tolerated, as far as that is no more than
    of other shares.
    """
    tolerance = min(tolerances.share, before.value / 3)
    report = DriftReport(name, kind, Test.SPIKE, before.of, now.of, tolerance, examples=(f"not {value}",))
    changes = [test(before, now, tolerance=tolerance) for test in (rise, fall)]
    ps = [change.p for change in changes if not isinstance(change, NotEnoughData)]
    if not ps:
        return replace(report, inconclusive=NotEnoughData(have=now.of, need=1))
    return replace(report, statistic=now.value, effect=now.value - before.value, p=min(min(ps) * 2, 1.0))


def _without(binned: Counts, place: int) -> Counts:
    rest = binned.copy()
    rest[place] = 0
    return counts(rest)
