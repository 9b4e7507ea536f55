"""Files of answers: what Parquet and JSON hold becomes entities and arrays, whatever way they were written."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace_client.cli.answer_files import open_answers, unused
from headrace_client.errors import InvalidArgument

TEN = [[row, row + 0.5] for row in range(10)]


def parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "answers.parquet"
    pq.write_table(pa.table({"entity": [str(row) for row in range(10)], **columns}), path)
    return path


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array(range(10)), np.arange(10), id="values"),
        pytest.param(pa.array(TEN), np.array(TEN), id="lists"),
        pytest.param(pa.array(TEN, pa.list_(pa.float32(), 2)), np.array(TEN), id="lists of fixed size"),
        pytest.param(pa.array(TEN, pa.large_list(pa.float64())), np.array(TEN), id="large lists"),
        pytest.param(pa.array([[pair] for pair in TEN]), np.array([[pair] for pair in TEN]), id="lists of lists"),
        pytest.param(pa.array(list("abcdefghij")), np.array(list("abcdefghij"), object), id="texts"),
        pytest.param(pa.array([True, False] * 5), np.array([True, False] * 5), id="truth values"),
        pytest.param(pa.array([None, 1.0] * 5), np.array([np.nan, 1] * 5), id="null is NaN, as pandas writes it"),
    ],
)
def test_a_column_becomes_an_array(tmp_path: Path, column: pa.Array, expected: np.ndarray) -> None:
    file = open_answers(parquet(tmp_path, y=column), "entity")
    (batch,) = file.batches(["y"])
    assert (file.rows, batch.entities) == (10, [str(row) for row in range(10)])
    np.testing.assert_array_equal(np.asarray(batch.outputs["y"]), expected)


def test_rows_of_several_shapes_are_parted(tmp_path: Path) -> None:
    lengths = [1, 1, 2, 2, 2, 1, 3, 3, 3, 3]
    file = open_answers(parquet(tmp_path, y=pa.array([[0.5] * length for length in lengths])), "entity")
    shapes = [np.shape(batch.outputs["y"]) for batch in file.batches(["y"])]
    assert shapes == [(2, 1), (3, 2), (1, 1), (4, 3)]
    assert [entity for batch in file.batches(["y"]) for entity in batch.entities] == [str(row) for row in range(10)]


def test_whole_numbers_are_entities_too_and_a_missing_one_is_blamed(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    pq.write_table(pa.table({"item": [7, None], "y": [1.0, 2.0]}), path)
    with pytest.raises(InvalidArgument, match="row 1: has no 'item'"):
        list(open_answers(path, "item").batches(["y"]))
    pq.write_table(pa.table({"item": [7, 8], "y": [1.0, 2.0]}), path)
    assert [batch.entities for batch in open_answers(path, "item").batches(["y"])] == [["7", "8"]]


def test_a_missing_whole_number_is_blamed_and_no_zero(tmp_path: Path) -> None:
    file = open_answers(parquet(tmp_path, y=pa.array([1, 2, None] + [0] * 7)), "entity")
    with pytest.raises(InvalidArgument, match="row 2: has no 'y'"):
        list(file.batches(["y"]))


def test_columns_are_compared_with_what_the_version_answers(tmp_path: Path) -> None:
    file = open_answers(parquet(tmp_path, y=pa.array(range(10)), note=pa.array(range(10))), "entity")
    assert unused(file, ["y"]) == ["note"]
    with pytest.raises(InvalidArgument, match="no column 'scores', which the version answers; it has 'y', 'note'"):
        unused(file, ["scores"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("answers.csv", b"", "ends neither in .parquet nor in .jsonl", id="another kind"),
        pytest.param("answers.parquet", b"PAR1", "is not a table in Parquet", id="broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgument, match=says):
        open_answers(tmp_path / name, "entity")


def test_the_entitys_column_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no column 'item'; name the entity's with --entity: entity, y"):
        open_answers(parquet(tmp_path, y=pa.array(range(10))), "item")


@pytest.mark.parametrize("row", ['{"entity": "a", "y": [[1, 2], [3]]}', '{"entity": "a", "y": ' + "[" * 100_000])
def test_a_line_that_is_no_answer_is_refused(tmp_path: Path, row: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(row)
    with pytest.raises(InvalidArgument):
        list(open_answers(file, "entity").batches(["y"]))
