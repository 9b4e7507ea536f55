"""Results of a job as answers by entity: what an entity may be, and rows whose lists vary in length."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_scorer.decisions.specs import Location
from headrace_scorer.engine.objects import Listed
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.results import answers, array, batches, entities, outputs
from hypothesis import given
from hypothesis import strategies as st

AT = Location("tables", "part-0.parquet")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array(["ada", "bob"]), ["ada", "bob"], id="texts"),
        pytest.param(pa.array([7, -8], pa.int32()), ["7", "-8"], id="whole numbers"),
        pytest.param(pa.array(["ada", "ada"]).dictionary_encode(), ["ada", "ada"], id="a dictionary"),
        pytest.param(pa.array(["ada", "bob"], pa.large_string()), ["ada", "bob"], id="large texts"),
    ],
)
def test_an_entity_is_a_text_or_a_whole_number(column: pa.Array, expected: list[str]) -> None:
    assert entities(pa.table({"user": column}), "user", AT) == expected


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array([1.5, 2.5]), id="fractions"),
        pytest.param(pa.array([b"a", b"b"]), id="bytes"),
        pytest.param(pa.array(["ada", None]), id="null"),
        pytest.param(pa.array(["ada", ""]), id="empty"),
    ],
)
def test_other_entities_fail_the_publication_with_the_column(column: pa.Array) -> None:
    with pytest.raises(Failed, match="'user'") as caught:
        entities(pa.table({"user": column}), "user", AT)
    assert caught.value.failure == "ENTITY_INVALID"


def test_lists_of_one_length_are_rows_of_elements() -> None:
    column = pa.chunked_array([pa.array([[1.0, 2.0]]), pa.array([[3.0, 4.0]])])
    assert array(column).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert array(pa.chunked_array([pa.array(["a", "b"])])).tolist() == ["a", "b"]


@given(st.lists(st.integers(0, 3), max_size=20))
def test_rows_of_other_lengths_are_uploaded_apart_in_their_order(lengths: list[int]) -> None:
    rows = [[float(at)] * length for at, length in enumerate(lengths)]
    table = pa.table(
        {
            "user": pa.array([f"u{at}" for at in range(len(rows))], pa.string()),
            "y": pa.array(rows, pa.list_(pa.float32())),
        }
    )
    sent = list(answers(table, "user", ["y"], AT))
    assert [entity for one in sent for entity in one.entities] == [f"u{at}" for at in range(len(rows))]
    assert [list(row) for one in sent for row in np.asarray(one.outputs["y"])] == rows
    assert all(len(np.asarray(one.outputs["y"])) == len(one.entities) for one in sent)


def test_a_slice_of_a_table_keeps_its_own_lists() -> None:
    table = pa.table({"y": pa.array([[1.0], [2.0], [3.0, 4.0]])}).slice(1)
    parts = [(rows, values["y"].tolist()) for rows, values in outputs(table, ["y"])]
    assert parts == [(slice(0, 1), [[2.0]]), (slice(1, 2), [[3.0, 4.0]])]


def test_no_rows_are_no_rows_of_lists_either():
    # Of a sample from which no row is asked online.
    assert array(pa.array([], pa.list_(pa.float32()))).shape == (0, 0)


class Stored:
    """A store of one object."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def listed(self, at: Location) -> list[Listed]:
        return [Listed(at.prefix, "e", len(self._content))]

    def opened(self, bucket: str, key: str, etag: str, size_bytes: int) -> io.BytesIO:
        return io.BytesIO(self._content)


def test_results_that_are_damaged_are_named():
    file = io.BytesIO()
    pq.write_table(pa.table({"user": [f"u{at}" for at in range(500)]}), file, compression="gzip")
    whole = file.getvalue()
    named = 0
    for at in range(4, len(whole) - 16, 61):
        stored: Any = Stored(whole[:at] + b"\xff" * 16 + whole[at + 16 :])
        try:
            list(batches(stored, AT, ["user"]))
        except Failed as error:
            named += error.failure == "OUTPUT_DAMAGED"
    assert named > 3
