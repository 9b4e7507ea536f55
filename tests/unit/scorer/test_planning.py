"""Which files of an input are scored: every one that may have a row, be it one to reject."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_scorer.decisions.specs import Location, Spec, TensorColumns
from headrace_scorer.engine.inputs.rows import SAMPLE_BYTES
from headrace_scorer.engine.messages import Access, PlanOrder, Work
from headrace_scorer.engine.objects import Listed
from headrace_scorer.engine.plan import plan

CONTRACT = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[1])],
    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
)


class Files:
    """A store of files that it has in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def listed(self, at: Location) -> list[Listed]:
        return [Listed(key, "e", len(content)) for key, content in sorted(self._files.items())]

    def opened(self, bucket: str, key: str, etag: str, size_bytes: int) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._files[key]))  # pyright: ignore[reportArgumentType]


def planned(files: dict[str, bytes]) -> tuple[list[str], dict[str, str]]:
    spec = Spec(Location("b", "in"), tensors=(TensorColumns("x", ("a",)),))
    contract = base64.b64encode(CONTRACT.SerializeToString()).decode()
    access = Access("http://127.0.0.1:1", "us-east-1", None, "headrace")
    work = Work("models/m/scoringJobs/1", spec, contract, "", Location("b", "out"), access)
    store: Any = Files(files)
    shards, checked = plan(PlanOrder(work, whole=True, max_objects=10), store)
    return [shard.key for shard in shards], dict(checked.types)


LONG = b"x" * SAMPLE_BYTES


@pytest.mark.parametrize(
    ("name", "good", "odd"),
    [
        pytest.param("csv", b"a\n1.5\n", b"a\n1,2\n3,4\n", id="rows with too many values"),
        pytest.param("csv", b"a,b\n1.5,x\n", b"a,b\n1," + LONG + b"\n2,y\n", id="a row longer than the sample"),
        pytest.param("jsonl", b'{"a": 1.5}\n', b"{\n" * 2000, id="lines that are no objects"),
        pytest.param("jsonl", b'{"a": 1.5}\n', b"\n" * SAMPLE_BYTES + b'{"a": 2}\n', id="a line below blank ones"),
        pytest.param("jsonl", b'{"a": 1.5}\n', b'{"a": 2, "b": "' + LONG + b'"}\n', id="a line longer than the sample"),
    ],
)
def test_a_file_whose_rows_are_not_seen_at_once_is_scored_wherever_it_stands(name: str, good: bytes, odd: bytes):
    for files in ({f"in/a.{name}": good, f"in/b.{name}": odd}, {f"in/a.{name}": odd, f"in/b.{name}": good}):
        keys, types = planned(files)
        assert keys == sorted(files)
        assert types["a"] == "double"


def test_a_line_longer_than_the_sample_tells_the_columns_of_a_file():
    assert planned({"in/a.jsonl": b'{"a": 1.5, "b": "' + LONG + b'"}\n'}) == (["in/a.jsonl"], {"a": "double"})


@pytest.mark.parametrize(("name", "empty"), [("csv", b"a\n"), ("csv", b"\n\n"), ("jsonl", b" \n\n")])
def test_a_file_without_rows_has_no_shard(name: str, empty: bytes):
    good = {"csv": b"a\n1.5\n", "jsonl": b'{"a": 1.5}\n'}[name]
    assert planned({f"in/a.{name}": empty, f"in/b.{name}": good})[0] == [f"in/b.{name}"]
