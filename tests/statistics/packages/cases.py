"""What a review found, one case after the other: the same values for us, for what is usually written first, for the
specification's code and for packages.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.judge.references.dependent_rows import UNIT
from headrace_monitor.judge.references.reference_files import freeze_file
from headrace_monitor.judge.windows.decisions.window_summaries import EMPTY, window_of
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Reference, Source
from scipy import stats

from tests.statistics import blind_spots, naive
from tests.statistics.category_rates import one_grown

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL = 0.05
HOURLY = AlarmBudget().level
LOW, HIGH = blind_spots.DECLARED


@dataclass(frozen=True, slots=True)
class Pair:
    """reference, window: values of one column. units: of rows that belong together; None where none do."""

    reference: np.ndarray
    window: np.ndarray
    reference_units: np.ndarray | None = None
    window_units: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """draw: a pair. datatype: of the contract. level: of one evaluation. alarms: whether they are right. before: what
    our code of the time said of it, as the change's commit has it.
    """

    draw: Callable[[np.random.Generator], Pair]
    alarms: bool
    before: str
    datatype: str = "FP64"
    categories: bool = False
    level: float = HOURLY
    runs: int = 20


def _prices(rng: np.random.Generator) -> Pair:
    prices = np.array([4.99, 9.99, 14.99, 19.99, 24.99])
    sent = rng.choice(prices, 2_000).astype(np.float32).astype(np.float64)
    return Pair(rng.choice(prices, 2_000), sent)


def _grades(rng: np.random.Generator) -> Pair:
    return Pair(rng.integers(1, 6, 2_000), rng.integers(1, 6, 2_000).astype(np.float32).astype(np.float64))


def _zipf(rng: np.random.Generator) -> Pair:
    shares = 1 / np.arange(1, 301)
    shares /= shares.sum()
    names = np.array([f"name {number:03}" for number in range(300)])
    return Pair(rng.choice(names, 1_000, p=shares), rng.choice(names, 1_000, p=shares))


def _shares(before: np.ndarray, now: np.ndarray, n: int, m: int) -> Callable[[np.random.Generator], Pair]:
    names = np.array([f"name {number:02}" for number in range(before.size)])
    return lambda rng: Pair(rng.choice(names, n, p=before), rng.choice(names, m, p=now))


def _repeats(reference: bool) -> Callable[[np.random.Generator], Pair]:
    def draw(rng: np.random.Generator) -> Pair:
        units, many = np.repeat(np.arange(100), 20), rng.normal(size=5_000)
        few = rng.normal(size=100)[units]
        return Pair(few, many, units) if reference else Pair(many, few, None, units)

    return draw


def _blind(name: str) -> Callable[[np.random.Generator], Pair]:
    before, now, rows = blind_spots.CASES[name]
    return lambda rng: Pair(before(rng, rows), now(rng, rows))


_EVEN = np.full(50, 0.02)
_GROWN = one_grown(_EVEN, 0.065)
CASES: Mapping[str, Case] = {
    "five prices, the same, reference in float64, FP32 in the contract": Case(_prices, False, "20 of 20", "FP32"),
    "grades 1 to 5, the same, whole in the reference, FP32 categories": Case(
        _grades, False, "20 of 20", "FP32", categories=True
    ),
    "300 names by Zipf's law, reference of 1,000, clean hours of 1,000": Case(
        _zipf, False, "20 of 20", "BYTES", categories=True
    ),
    "50 categories, no drift, n = 200, m = 2,000, level 5 %": Case(
        _shares(_EVEN, _EVEN, 200, 2_000), False, "21 %", "BYTES", True, LEVEL, 60
    ),
    "one of 50 from .020 to .065 (at the tolerance), n = m = 1,000, level 5 %": Case(
        _shares(_EVEN, _GROWN, 1_000, 1_000), False, "4.4 %", "BYTES", True, LEVEL, 60
    ),
    "one of 50 from .020 to .065 (at the tolerance), n = 100,000, m = 10,000, level 5 %": Case(
        _shares(_EVEN, _GROWN, 100_000, 10_000), False, "100 %", "BYTES", True, LEVEL
    ),
    "no drift, window of 20 equal rows of each of 100 users, level 5 %": Case(
        _repeats(False), False, "63 %", level=LEVEL
    ),
    "no drift, reference of 20 equal rows of each of 100 users, level 5 %": Case(
        _repeats(True), False, "84 %", level=LEVEL
    ),
    **{
        f"{name}, n = m = {blind_spots.CASES[name][2]:,}": Case(_blind(name), True, "0 %", runs=5)
        for name in (
            *("90 % zeros become −50", "a constant 3 becomes 7", "every 5 (3 % of rows) becomes 10"),
            *("95 % zeros, the rest twice as large", "95 % zeros, the rest twice as many"),
        )
    },
}


def ours(case: Case, pair: Pair) -> bool:
    """Return whether the monitor alarms: the reference's file is frozen, rows of the log are counted and judged."""
    read_as = ColumnType.CATEGORICAL if case.categories else ColumnType.NUMERIC
    bounds = (None, None) if case.categories else (LOW, HIGH)
    column = MonitoredColumn("x", "feature.x", "x", 0, case.datatype, read_as, 1, *bounds)
    file = {"x": pair.reference} | ({} if pair.reference_units is None else {UNIT: pair.reference_units})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.parquet")
        pq.write_table(pa.table(file), path)
        frozen = freeze_file(str(path), (column,), tensor_pb2.ServingContract()).columns
    window = EMPTY
    for part in np.array_split(np.random.default_rng(0).permutation(pair.window.size), 5):
        log = {"feature.x": pair.window[part]}
        if pair.window_units is not None:
            log["unit"] = pair.window_units[part].astype(str)
        window = window.merge(window_of(pa.table(log), (column,), frozen))
    reference = Reference(Source.ARTIFACT, "", AT, frozen, {})
    found = evaluate(
        reference, window.summaries, level=case.level, design_effects=window.design_effects(reference.columns)
    )
    return any(report.alarm for report in found)


def specification(case: Case, pair: Pair) -> bool:
    """Return whether the specification's code alarms: PSI from .1 on ten widths; of names a new one, or chi-square."""
    if not case.categories:
        return naive.psi_alarms(pair.reference, pair.window)
    if not set(pair.window.astype(str)) <= set(pair.reference.astype(str)):
        return True
    names = np.unique(np.r_[pair.reference.astype(str), pair.window.astype(str)])
    counts = [
        np.bincount(np.searchsorted(names, side.astype(str)), minlength=names.size)
        for side in (pair.reference, pair.window)
    ]
    return bool(stats.chi2_contingency(np.stack(counts)).pvalue < LEVEL)  # pyright: ignore[reportAttributeAccessIssue]
