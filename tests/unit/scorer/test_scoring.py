"""Results of a shard: written once, by whoever is first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_runtime.contract import Contract, TensorSpec
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.inputs.rows import Rejected
from headrace_scorer.engine.objects import OutputTaken
from headrace_scorer.engine.shard_scorer import CHUNK_BYTES, CHUNK_ROWS, ShardScorer, bounds_of

SHARD = Shard(0, "in/a.parquet", "e", 9)
FIRST = {"rows": "5", "rejected": "0", "sha256": "of another machine", "size": "7"}


class Overtaken:
    """A store in which somebody writes an object between a look and a write."""

    def __init__(self, there: dict[str, str]) -> None:
        self._there, self._looks = there, 0

    def metadata(self, at: Location) -> dict[str, str] | None:
        self._looks += 1
        return self._there if self._looks > 1 else None

    def create(self, at: Location, file: Path, metadata: dict[str, str]) -> None:
        raise OutputTaken(at.uri)


class Lossy:
    """A store that has what is rejected, but no results yet."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, str]] = {}

    def metadata(self, at: Location) -> dict[str, str] | None:
        return None

    def create(self, at: Location, file: Path, metadata: dict[str, str]) -> None:
        if at.prefix.startswith("out/_rejected/") and self.there.setdefault(at.prefix, metadata) != metadata:
            raise OutputTaken(at.uri)


def scorer_with(store: Any, folder: Path, rejected: str = "") -> ShardScorer:
    def write(shard: Shard, batch_rows: int, file: Path, rejected_file: Path) -> tuple[int, int]:
        file.write_bytes(b"results")
        rejected_file.write_text(rejected)
        return 5, len(rejected.splitlines())

    scorer: Any = object.__new__(ShardScorer)
    scorer._work, scorer._folder = SimpleNamespace(output=Location("tables", "out")), folder
    scorer._objects, scorer._write = store, write
    return scorer


def test_of_two_that_score_a_shard_the_results_of_the_first_count_whatever_their_last_bits(tmp_path: Path):
    found = scorer_with(Overtaken(FIRST), tmp_path).score(SHARD, 64)
    assert (found.rows, found.sha256, found.size_bytes) == (5, "of another machine", 7)


def test_what_is_no_result_of_a_shard_is_not_taken_for_one(tmp_path: Path):
    with pytest.raises(OutputTaken):
        scorer_with(Overtaken({"author": "somebody else"}), tmp_path).score(SHARD, 64)


def test_a_row_that_is_rejected_for_another_reason_the_next_time_does_not_stop_the_job(tmp_path: Path):
    store = Lossy()
    found = [scorer_with(store, tmp_path, f"{reason}\n").score(SHARD, 64) for reason in ("quarantined", "lost", "lost")]
    assert [one.rejected_key in store.there for one in found] == [True] * 3
    assert found[0].rejected_key != found[1].rejected_key == found[2].rejected_key


@pytest.mark.parametrize("answered", [[], [pa.array([0.5, 0.25], pa.float32())], [pa.array([[0.5], [0.25]])] * 2])
def test_rows_that_are_all_rejected_do_not_say_what_the_answers_below_them_have(
    tmp_path: Path, answered: list[pa.Array]
):
    made = [pa.array([], pa.list_(pa.float32())), *answered]
    scorer: Any = object.__new__(ShardScorer)
    scorer._chunks = lambda _: (one for one in made)
    scorer._scored = lambda column, _: (pa.table({"y": column}), [] if len(column) else [Rejected(0, "x", "is null")])
    assert scorer._write(SHARD, 64, tmp_path / "results", tmp_path / "rejected") == (1 + 2 * len(answered), 1)
    found = pq.read_table(tmp_path / "results")
    assert found.to_pydict() == {"y": [value for column in answered for value in column.to_pylist()]}


def test_rows_of_one_value_below_rows_of_several_are_lists_as_those(tmp_path: Path):
    made = [pa.array([[0.5, 0.25], [1.0]]), pa.array([2.0, 4.0]), pa.array([[], [0.5, 1.0]])]
    scorer: Any = object.__new__(ShardScorer)
    scorer._chunks = lambda _: (one for one in made)
    scorer._scored = lambda column, _: (pa.table({"y": column}), [])
    assert scorer._write(SHARD, 64, tmp_path / "results", tmp_path / "rejected") == (6, 0)
    found = pq.read_table(tmp_path / "results").column("y").to_pylist()
    assert found == [[0.5, 0.25], [1.0], [2.0], [4.0], [], [0.5, 1.0]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "rows"),
    [
        ((TensorSpec("x", "FP32", (32,)),), (TensorSpec("y", "FP32", ()),), CHUNK_ROWS),
        ((TensorSpec("x", "FP32", (3, 512, 512)),), (TensorSpec("y", "FP32", (10,)),), 21),
        ((TensorSpec("x", "BYTES", ()),), (TensorSpec("y", "FP32", (4096,)),), 4080),
        ((TensorSpec("x", "FP32", (-1, 32)),), (TensorSpec("y", "FP32", (1 << 26,)),), 1),
    ],
)
def test_so_many_rows_are_held_as_their_tensors_leave_room_for(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], rows: int
):
    bounds = bounds_of(Contract(inputs, outputs))
    assert (bounds.rows, bounds.size_bytes) == (rows, CHUNK_BYTES)
