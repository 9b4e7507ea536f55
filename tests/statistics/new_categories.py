"""Categories of which no reference has had all: alarms on clean columns, and on a category that is new or grows."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.references.columns import monitored_columns
from headrace_monitor.judge.references.reference_files import answer_of
from headrace_monitor.record.log.contracts import version_contract
from headrace_statistics import serialization
from headrace_statistics.drift.evaluation import evaluate
from headrace_statistics.multiplicity import AlarmBudget
from headrace_statistics.references import Reference, Source, summarise

from tests.statistics.figures import Figure, Table

ROWS = 1_000
REFERENCES = (200, 1_000, 20_000)
_COLUMN = "name"
_Draw = Callable[[np.random.Generator, int], np.ndarray]


def new_categories(rng: np.random.Generator, hours: int) -> Table:
    """References frozen from files, hours of 1,000 rows through the whole evaluation, installed tolerances and budget;
    names and reference are drawn again for every twelve hours. Naive: any row of a name that the reference has not.
    """
    shapes: dict[str, Callable[[np.random.Generator], _Draw]] = {
        **{f"{names:,} names by Zipf's law of {power}": _zipf(names, power) for names, power in _ZIPF},
        "300 names alike": _zipf(300, 0),
        "a Chinese restaurant of 300 new tables": lambda rng: _restaurant(rng, 300, 0),
        "a Chinese restaurant whose tables have a long tail": lambda rng: _restaurant(rng, 50, 0.6),
        "names that grow by one in 2,000 rows": _growing,
    }
    figures = []
    for name, shape in shapes.items():
        for rows in REFERENCES:
            found = [hour for _ in range(max(hours // 12, 1)) for hour in _hours(rng, shape(rng), rows, 12)]
            ours, naive = (np.array(each) for each in zip(*found, strict=True))
            figures.append(
                Figure(
                    f"{name}, reference of {rows:,}",
                    f"{ours.sum()} of {ours.size} hours",
                    "≤ .03 % of hours",
                    _is_rare(int(ours.sum()), ours.size),
                    f"{naive.mean():.0%}",
                )
            )
    figures += [_grown(rng, *case, hours) for case in _GROWN]
    return Table("New and rare categories, budget of .05 false alarms a week: alarms", tuple(figures))


_ZIPF = ((300, 1), (10_000, 0.7), (100_000, 0.7), (10_000, 1), (100_000, 1), (100_000, 1.2), (100_000, 2))
# Rows of the reference, share before, times, as what it comes, how often it is to be found.
_GROWN = (
    (20_000, 0.01, 3, "BOOL", 0.1),
    (20_000, 0.01, 10, "BOOL", 0.95),
    (20_000, 0.01, 10, "INT64", 0.95),
    (20_000, 0.01, 10, "BYTES", 0.95),
    (1_000, 0.01, 30, "BOOL", 0.95),
    (1_000, 0.01, 30, "INT64", 0.95),
    (1_000, 0.01, 30, "BYTES", 0.95),
    (1_000, 0.0, 0, "BYTES", 0.95),
)


def _hours(rng: np.random.Generator, draw: _Draw, rows: int, hours: int) -> list[tuple[bool, bool]]:
    before = draw(rng, rows)
    frozen, known = _frozen(_texts(before), "BYTES"), set(before.tolist())
    found = []
    for _ in range(hours):
        now = draw(rng, ROWS)
        found.append((_alarms(frozen, _texts(now)), not known.issuperset(now.tolist())))
    return found


def _grown(
    rng: np.random.Generator, rows: int, share: float, times: int, datatype: str, bar: float, hours: int
) -> Figure:
    found = []
    for _ in range(max(hours, 20)):
        now = share * times or 0.1
        before, later = rng.random(rows) < share, rng.random(ROWS) < now
        found.append(_alarms(_frozen(_as(before, datatype), datatype), _as(later, datatype)))
    what = f"one of {share:.0%} grows {times}-fold" if times else "a new one has 10 %"
    rate = float(np.mean(found))
    held = rate >= bar - 3 * (bar * (1 - bar) / len(found)) ** 0.5
    return Figure(f"{what}, {datatype}, reference of {rows:,}", f"{rate:.0%} of hours", f"≥ {bar:.0%}", held)


def _as(rare: np.ndarray, datatype: str) -> pa.Array:
    return (
        _texts(rare.astype(int)) if datatype == "BYTES" else pa.array(rare if datatype == "BOOL" else rare.astype(int))
    )


def _texts(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"n{number}" for number in numbers.tolist()])


def _frozen(values: pa.Array, datatype: str) -> Reference:
    spec = tensor_pb2.TensorSpec(name=_COLUMN, datatype=datatype)
    contract = tensor_pb2.ServingContract(inputs=[spec])
    judged = monitored_columns(version_contract("m", "v1", registry_pb2.ModelVersion(contract=contract)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "reference.parquet")
        pq.write_table(pa.table({_COLUMN: values}), file)
        answer = serialization.from_json(answer_of(str(file), judged, contract))
    return Reference(Source.ARTIFACT, "reference", datetime.now(UTC), answer["columns"], answer["unfit"])


def _alarms(frozen: Reference, values: pa.Array) -> bool:
    window = {name: summarise(column, values.to_pylist()) for name, column in frozen.columns.items()}
    return any(report.alarm for report in evaluate(frozen, window, level=AlarmBudget().level))


def _is_rare(alarms: int, hours: int) -> bool:
    """Return whether so many alarms are likely enough (1 in 1,000) at the budget's level."""
    return alarms <= hours * AlarmBudget().level + 4 * (hours * AlarmBudget().level) ** 0.5


def _zipf(names: int, power: float) -> Callable[[np.random.Generator], _Draw]:
    shares = np.arange(1, names + 1.0) ** -power
    shares /= shares.sum()
    return lambda _: lambda rng, rows: rng.choice(names, rows, p=shares)


def _restaurant(rng: np.random.Generator, strength: float, discount: float) -> _Draw:
    """Return draws from one Pitman-Yor process, whose shares are broken off a stick."""
    at = np.arange(1, 50_001)
    broken = rng.beta(1 - discount, strength + discount * at)
    shares = broken * np.concatenate([[1.0], np.cumprod(1 - broken)[:-1]])
    shares /= shares.sum()
    return lambda rng, rows: rng.choice(at.size, rows, p=shares)


def _growing(_: np.random.Generator) -> _Draw:
    """Return draws from a vocabulary that has one more name after each 2,000 rows, all alike."""
    had = 0

    def draw(rng: np.random.Generator, rows: int) -> np.ndarray:
        nonlocal had
        had += rows
        return rng.integers(0, 2_000 + had // 2_000, rows)

    return draw
