"""Rows that belong together: evaluations that alarm when nothing drifts, through the windows of the monitor."""

import tempfile
from collections.abc import Callable, Mapping
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
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import ColumnReference, Reference, Source

from tests.statistics.figures import Figure, Table

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL = AlarmBudget().level
# Of the figures of references, which are too few to see the installed level.
SEEN_LEVEL = 0.05
USERS = 100


def dependent_rows(rng: np.random.Generator, hours: int) -> Table:
    """Clean hours that come in five files, a number and a category each, against references of 20,000 rows, at the
    installed level; then references that say whose their rows are, at 5 %. Naive: every row is independent.
    """
    columns = (
        MonitoredColumn("age", "feature.age", "age", 0, "FP64", ColumnType.NUMERIC),
        MonitoredColumn("land", "feature.land", "land", 0, "BYTES", ColumnType.CATEGORICAL),
    )
    frozen = {
        "age": references.freeze_numeric(rng.normal(size=20_000)),
        "land": references.freeze_categorical(_lands(rng.normal(size=20_000)).tolist()),
    }
    reference = Reference(Source.ARTIFACT, "", AT, frozen, {})
    figures = [
        _hours(rng, columns, reference, what, sizes, own, hours) for what, sizes in _SIZES.items() for own in (1.0, 0.3)
    ]
    figures += [_reference(rng, columns, rows, max(hours // 20, 5)) for rows in (5, 20)]
    return Table("Rows of one user: hours that alarm when nothing drifts", tuple(figures))


def _pareto(shape: float) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: np.ceil(rng.pareto(shape, 1_000) + 0.5).astype(int).clip(1, 20_000)


# Rows of each user.
_SIZES: Mapping[str, Callable[[np.random.Generator], np.ndarray]] = {
    "one row of each of 2,000 users": lambda _: np.ones(2_000, int),
    "5 rows of each of 400": lambda _: np.full(400, 5),
    "20 rows of each of 100": lambda _: np.full(100, 20),
    "Pareto sizes of shape 1.1 of 1,000": _pareto(1.1),
    "Pareto sizes of shape 1.5 of 1,000": _pareto(1.5),
    "Pareto sizes of shape 2 of 1,000": _pareto(2.0),
    "one row of each of 2,000, 500 of one more": lambda _: np.append(np.ones(2_000, int), 500),
    "bursts: 200 retries of each of 3, one row of each of 1,500": lambda _: np.append(np.ones(1_500, int), [200] * 3),
}


def _hours(
    rng: np.random.Generator,
    columns: tuple[MonitoredColumn, ...],
    reference: Reference,
    what: str,
    sizes: Callable[[np.random.Generator], np.ndarray],
    own: float,
    hours: int,
) -> Figure:
    clean, plain, moved = [], [], []
    for shift, into, times in ((0.0, clean, hours), (1.0, moved, max(hours // 20, 10))):
        for _ in range(times):
            window = EMPTY
            for part in _files(rng, sizes(rng), own, shift):
                window = window.merge(window_of(part, columns, reference.columns))
            found = evaluate(
                reference, window.summaries, level=LEVEL, design_effects=window.design_effects(reference.columns)
            )
            into.append(any(one.alarm for one in found))
            if not shift:
                plain.append(any(one.alarm for one in evaluate(reference, window.summaries, level=LEVEL)))
    alarms = sum(clean)
    return Figure(
        f"{what}, {own:.0%} of the variance the user's",
        f"{alarms} of {hours:,} hours; 1 sd found in {np.mean(moved):.0%}",
        "≤ .03 %; –",
        bool(alarms <= hours * LEVEL + 4 * (hours * LEVEL) ** 0.5),
        f"{np.mean(plain):.1%}",
    )


def _reference(rng: np.random.Generator, columns: tuple[MonitoredColumn, ...], rows: int, runs: int) -> Figure:
    """A reference's file of 100 users with equal rows says whose they are; windows of 5,000 users have one of each."""
    alarms, plain = [], []
    for _ in range(runs):
        users = np.repeat(rng.normal(size=USERS), rows)
        file = {"age": users, "land": _lands(users), UNIT: np.repeat(np.arange(USERS), rows)}
        now = rng.normal(size=5_000)
        for names, into in ((tuple(file), alarms), (("age", "land"), plain)):
            frozen = _frozen({name: file[name] for name in names}, columns)
            reference = Reference(Source.ARTIFACT, "", AT, frozen, {})
            window = window_of(pa.table({"feature.age": now, "feature.land": _lands(now)}), columns, frozen)
            into.append(any(one.alarm for one in evaluate(reference, window.summaries, level=SEEN_LEVEL)))
    bar = 0.02
    return Figure(
        f"a reference with {rows} rows of each of {USERS} users, 100% the user's; windows of 5,000 users",
        f"{np.mean(alarms):.1%}",
        f"≤ {bar:.0%}",
        bool(np.mean(alarms) <= bar + 3 * (bar / runs) ** 0.5),
        f"{np.mean(plain):.1%}",
    )


def _frozen(file: dict[str, np.ndarray], columns: tuple[MonitoredColumn, ...]) -> Mapping[str, ColumnReference]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.parquet")
        pq.write_table(pa.table(file), path)
        return freeze_file(str(path), columns, tensor_pb2.ServingContract()).columns


def _lands(values: np.ndarray) -> np.ndarray:
    return np.array(["at", "de", "fr", "it"])[np.digitize(values, (-0.7, 0.0, 0.7))]


def _files(rng: np.random.Generator, sizes: np.ndarray, own: float, shift: float) -> list[pa.Table]:
    users = np.repeat(np.arange(sizes.size), sizes)
    base = rng.normal(size=sizes.size)[users]
    values = shift + own**0.5 * base + (1 - own) ** 0.5 * rng.normal(size=users.size)
    names = rng.permutation(10**6)[: sizes.size][users].astype(str)
    parts = rng.integers(0, 5, users.size)
    return [
        pa.table({"unit": names[at], "feature.age": values[at], "feature.land": _lands(values[at])})
        for at in (np.flatnonzero(parts == part) for part in range(5))
        if at.size
    ]
