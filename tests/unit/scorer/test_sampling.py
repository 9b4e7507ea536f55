"""Samples of results: each row beside the row of the input that it is of, however many were held at once."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_scorer.decisions.manifests import Done
from headrace_scorer.decisions.publish_specs import PublishSpec
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Spec, TensorColumns
from headrace_scorer.engine import sample
from headrace_scorer.engine.inputs.rows import Bounds
from headrace_scorer.engine.messages import Access, Checked, Work
from headrace_scorer.engine.objects import Listed
from headrace_scorer.engine.publish_orders import Answered, CheckOrder, Peers
from headrace_scorer.engine.sample import Sample, samples

CONTRACT = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[1])],
    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
)
ROWS, WRONG = 100, [0, 7, 8, 30, 99]
REJECTED = "".join(json.dumps({"row": row}) + "\n" for row in WRONG).encode()


class Files:
    """A store of files that it has in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def listed(self, at: Location) -> list[Listed]:
        return [Listed(key, "e", len(content)) for key, content in self._files.items() if key.startswith(at.prefix)]

    def opened(self, bucket: str, key: str, etag: str, size_bytes: int) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._files[key]))  # pyright: ignore[reportArgumentType]


def parquet(table: pa.Table, group_rows: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=group_rows)
    return file.getvalue()


def sampled(rejected: bytes | None, group_rows: int = ROWS) -> list[Sample]:
    """Return the sample of a job whose results are twice the numbers of their rows."""
    good = [row for row in range(ROWS) if row not in WRONG]
    given = parquet(pa.table({"id": range(ROWS), "x": pa.array(range(ROWS), pa.float32())}), ROWS)
    results = pa.table({"id": good, "y": pa.array([2 * row for row in good], pa.float32())})
    files = {"in/a.parquet": given, "out/a.parquet": parquet(results, group_rows)}
    store: Any = Files(files if rejected is None else files | {"out/rejected": rejected})
    shard = Shard(0, "in/a.parquet", "e", len(given), 0, 1, 0, ROWS)
    done = Done(shard, ROWS, len(WRONG), "out/a.parquet", "", 0, "out/rejected", "")
    contract = base64.b64encode(CONTRACT.SerializeToString()).decode()
    work = Work(
        *("models/m/scoringJobs/1", Spec(Location("b", "in"), keep=("id",)), contract, "", Location("b", "out")),
        access=Access("http://127.0.0.1:1", "us-east-1", None, "headrace"),
    )
    order = CheckOrder(
        work,
        Checked(tensors=(TensorColumns("x", ("x",)),), read=("id", "x")),
        Answered(1, "b", "id", (done,), datetime(2026, 11, 29, tzinfo=UTC)),
        *("m", "v1", PublishSpec("id", parity_rows=ROWS), Peers("", "")),
    )
    return list(samples(order, store))


@pytest.mark.parametrize("group_rows", [1, 3, 40, ROWS])
@pytest.mark.parametrize("held_rows", [1, 5, 8, 9, 41, ROWS])
def test_a_result_stands_beside_its_row_whatever_was_held_at_once_then_and_now(
    monkeypatch: pytest.MonkeyPatch, group_rows: int, held_rows: int
):
    monkeypatch.setattr(sample, "bounds_of", lambda _: Bounds(held_rows, 1 << 20))
    (found,) = sampled(REJECTED, group_rows)
    good_held = len([row for row in range(held_rows) if row not in WRONG])
    assert len(found.rows) == len(found.entities) == min(group_rows, good_held)
    assert found.tensors[0].values.ravel().tolist() == [float(one) for one in found.entities]
    assert found.scored["y"].tolist() == [2 * float(one) for one in found.entities]


@pytest.mark.parametrize(
    "rejected", [None, b"", REJECTED[:-20], b"not ours\n" * len(WRONG), b"{}\n", REJECTED + REJECTED]
)
def test_results_whose_rows_are_not_known_are_compared_with_none(rejected: bytes | None):
    assert sampled(rejected) == []
