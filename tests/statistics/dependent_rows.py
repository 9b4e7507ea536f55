"""Rows that belong together: evaluations that alarm when nothing drifts, through the windows of the monitor."""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.references.columns import ColumnType, MonitoredColumn
from headrace_monitor.references.dependent_rows import UNIT
from headrace_monitor.references.freezing import freeze_file
from headrace_monitor.windows.decisions.summarising import EMPTY, window_of
from headrace_statistics import references
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.references import ColumnReference, Reference, Source

from tests.statistics.figures import Figure, Table

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEVEL = 0.05
USERS = 100
# Rows of each user, and the part of the variance that is the user's.
CASES = ((1, 1.0), (5, 1.0), (20, 1.0), (20, 0.5), (20, 0.0))


def dependent_rows(rng: np.random.Generator, runs: int) -> Table:
    """Windows of 100 users that come in five files, a number and a category each, against references of 20,000 rows;
    then references that say whose their rows are. Naive: every row is independent.
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
    figures = []
    for rows, own in CASES:
        clean, plain, moved, effects = [], [], [], []
        for _ in range(runs):
            for shift, into in ((0.0, clean), (1.0, moved)):
                window = EMPTY
                for part in _files(rng, rows, own, shift):
                    window = window.merge(window_of(part, columns, frozen))
                found = evaluate(reference, window.summaries, level=LEVEL, design_effects=window.design_effects)
                into.append(any(one.alarm for one in found))
                if not shift:
                    plain.append(any(one.alarm for one in evaluate(reference, window.summaries, level=LEVEL)))
                    effects.append(window.design_effects["age"])
        bar = 0.02
        figures.append(
            Figure(
                f"{rows} rows of each of {USERS} users, {own:.0%} the user's",
                f"{np.mean(clean):.1%}; design effect {np.mean(effects):.1f}; 1 sd found in {np.mean(moved):.0%}",
                f"≤ {bar:.0%}; –; ≥ 90 %",
                bool(np.mean(clean) <= bar + 3 * (bar / runs) ** 0.5 and np.mean(moved) >= 0.9),
                f"{np.mean(plain):.1%}",
            )
        )
    figures += [_reference(rng, columns, rows, max(runs // 4, 5)) for rows in (5, 20)]
    return Table("Rows of one user: alarms at a level of 5 % when nothing drifts", tuple(figures))


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
            into.append(any(one.alarm for one in evaluate(reference, window.summaries, level=LEVEL)))
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


def _files(rng: np.random.Generator, rows: int, own: float, shift: float) -> list[pa.Table]:
    users = np.repeat(np.arange(USERS), rows)
    base = rng.normal(size=USERS)[users]
    values = shift + own**0.5 * base + (1 - own) ** 0.5 * rng.normal(size=users.size)
    names = rng.permutation(10**6)[:USERS][users].astype(str)
    parts = rng.integers(0, 5, users.size)
    return [
        pa.table({"unit": names[at], "feature.age": values[at], "feature.land": _lands(values[at])})
        for at in (np.flatnonzero(parts == part) for part in range(5))
    ]
