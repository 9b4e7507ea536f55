"""Expected outputs that a version brings along, and how far answers are from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.expected_outputs import MAX_ROWS, Difference, UnreadableValidation, difference, read
from headrace_runtime.shapes import OutputTensor, WrongOutput

CONTRACT = Contract((TensorSpec("x", "FP32", (2,)),), (TensorSpec("y", "FP32", ()), TensorSpec("label", "INT64", ())))


@pytest.fixture
def read_file(tmp_path):
    def read_content(content: object):
        path = tmp_path / "validation.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read(path, CONTRACT)

    return read_content


def answer(values: list[float]) -> list[OutputTensor]:
    return [OutputTensor("y", "FP32", (len(values),), np.array(values, dtype="<f4").tobytes())]


def test_rows_come_in_batches_and_are_compared_with_what_is_expected(read_file):
    rows = [[float(at), 1.0] for at in range(5)]
    examples = read_file({"inputs": {"x": rows}, "outputs": {"y": [0, 1, 2, 3, 4]}, "labels": ["a"] * 5})
    first, second, last = examples.batches(2)
    assert [batch.rows for batch in (first, second, last)] == [2, 2, 1]
    assert np.frombuffer(second.inputs[0], "<f4").tolist() == [2.0, 1.0, 3.0, 1.0]
    assert first.difference(answer([0.0, 1.0])) == Difference()
    found = second.difference(answer([2.0, 3.25]))
    assert (found.largest, found.over) == (0.25, pytest.approx(0.25 / 0.004))
    assert found.where == "'y' of row 3 is 3.25 instead of 3"
    assert last.difference(answer([float("nan")])).largest == float("inf")
    assert 1.0 < last.difference(answer([float("nan")])).over < float("inf")
    with pytest.raises(WrongOutput, match="2 values, 1 are expected"):
        last.difference(answer([1.0, 2.0]))
    with pytest.raises(WrongOutput, match="'y' is missing"):
        last.difference([])
    with pytest.raises(WrongOutput, match="'y' cannot be read"):
        last.difference([OutputTensor("y", "FP32", (1,), b"odd")])


def test_texts_are_given_to_the_model(tmp_path):
    contract = Contract(
        (TensorSpec("text", "BYTES", (1,)), TensorSpec("hint", "BYTES", ())), (TensorSpec("y", "FP32", ()),)
    )
    path = tmp_path / "validation.json"
    path.write_text('{"inputs": {"text": [["é"], [""]], "hint": ["a", "bc"]}, "outputs": {"y": [1, 2]}}')
    examples = read(path, contract)
    assert examples is not None
    (batch,) = examples.batches(8)
    assert batch.inputs == [b"\x02\0\0\0\xc3\xa9\0\0\0\0", b"\x01\0\0\0a\x02\0\0\0bc"]
    for content in ('{"inputs": {"text": [[1], [""]]', '{"inputs": {"text": [["a"], ["b", "c"]]'):
        path.write_text(content + ', "hint": ["a", "bc"]}, "outputs": {"y": [1, 2]}}')
        with pytest.raises(UnreadableValidation, match="not texts in rows of one shape"):
            read(path, contract)


def test_values_that_are_no_numbers_on_both_sides_are_the_same(read_file):
    (batch,) = read_file('{"inputs": {"x": [[1, 2]]}, "outputs": {"y": [NaN]}}').batches(8)
    assert batch.difference(answer([float("nan")])) == Difference()


def test_no_more_rows_than_a_bound_are_compared(read_file):
    rows = MAX_ROWS + 10
    examples = read_file({"inputs": {"x": [[0, 0]] * rows}, "outputs": {"y": [0] * rows}})
    assert sum(batch.rows for batch in examples.batches(100)) == MAX_ROWS


@pytest.mark.parametrize("content", [{"inputs": {"x": [[1, 2]]}, "labels": [1]}, {"inputs": {}, "outputs": {}}, {}])
def test_a_file_without_expected_outputs_is_no_mistake(read_file, content):
    assert read_file(content) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param("[1, 2]", "is a list, not an object", id="not an object"),
        pytest.param('{"inputs": ', "cannot be read", id="cut"),
        pytest.param("[" * 100_000, "cannot be read", id="nested without end"),
        pytest.param({"inputs": {"x": [["a", "b"]]}, "outputs": {"y": [1]}}, "cannot be read", id="texts"),
        pytest.param({"inputs": {"x": [[1, 2], [3]]}, "outputs": {"y": [1, 2]}}, "cannot be read", id="ragged"),
        pytest.param({"inputs": {}, "outputs": {"y": [1]}}, "no rows of the input 'x'", id="an input is missing"),
        pytest.param({"inputs": {"x": [[1, 2, 3]]}, "outputs": {"y": [1]}}, "have 3 values", id="another shape"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"z": [1]}}, "'z'", id="an output that is not there"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [1, 2]}}, "same number", id="other rows"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"label": [1e400]}}, "cannot be read", id="too large"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": 5}}, "one value", id="a value instead of rows"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [1]}, "tolerance": "1"}, "tolerance", id="tolerance"),
        pytest.param({"inputs": {"x": [[1, 2]]}, "outputs": {"y": [1]}, "tolerance": -1}, "tolerance", id="below 0"),
        pytest.param({"inputs": {"x": None}, "outputs": {"y": [1]}}, "one value", id="nothing instead of rows"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(read_file, content, why):
    with pytest.raises(UnreadableValidation, match=why):
        read_file(content)


def test_a_file_without_rows_proves_nothing(tmp_path):
    path = tmp_path / "validation.json"
    path.write_text('{"inputs": {"x": []}, "outputs": {"y": []}}')
    scalars = Contract((TensorSpec("x", "FP32", ()),), (TensorSpec("y", "FP32", ()),))
    with pytest.raises(UnreadableValidation, match="no rows"):
        read(path, scalars)


def test_a_file_that_was_removed_before_it_was_read_is_no_defect(tmp_path):
    with pytest.raises(UnreadableValidation, match="not there any more"):
        read(tmp_path / "validation.json", CONTRACT)


@pytest.mark.parametrize(("tolerance", "holds"), [(0.3, True), (0.2, False), (0, False)])
def test_values_may_differ_by_the_tolerance_and_as_large_a_share_of_the_value(read_file, tolerance, holds):
    content = {"inputs": {"x": [[1, 2]]}, "outputs": {"y": [0.0]}, "tolerance": tolerance}
    (batch,) = read_file(content).batches(8)
    assert (batch.difference(answer([0.25])).over <= 1.0) == holds
    assert batch.difference(answer([0.0])).over == 0.0
    (large,) = read_file({**content, "outputs": {"y": [1000.0]}}).batches(8)
    assert (large.difference(answer([1250.0])).over <= 1.0) == holds


def test_rows_of_open_length_are_compared(tmp_path):
    contract = Contract((TensorSpec("tokens", "INT64", (-1,)),), (TensorSpec("y", "FP32", ()),))
    path = tmp_path / "validation.json"
    path.write_text('{"inputs": {"tokens": [[1, 2, 3], [4, 5, 6]]}, "outputs": {"y": [6, 15]}}')
    examples = read(path, contract)
    assert examples is not None
    (batch,) = examples.batches(8)
    assert (batch.layout.row_shapes, batch.rows) == (((3,),), 2)
    assert batch.difference(answer([6.0, 15.0])) == Difference()
    path.write_text('{"inputs": {"tokens": [1, 2]}, "outputs": {"y": [6, 15]}}')
    with pytest.raises(UnreadableValidation, match="0 dimensions, not 1"):
        read(path, contract)


def texts(*values: str) -> list[OutputTensor]:
    data = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
    return [OutputTensor("name", "BYTES", (len(values),), data)]


def test_texts_are_the_same_or_not(tmp_path):
    contract = Contract((TensorSpec("x", "FP32", ()),), (TensorSpec("name", "BYTES", ()),))
    path = tmp_path / "validation.json"
    path.write_text('{"inputs": {"x": [1, 2]}, "outputs": {"name": ["é", ""]}}')
    examples = read(path, contract)
    assert examples is not None
    (batch,) = examples.batches(8)
    assert batch.difference(texts("é", "")) == Difference()
    found = batch.difference(texts("é", "e"))
    assert (found.over > 1.0, found.where) == (True, "'name' of row 1 is 'e' instead of ''")
    with pytest.raises(WrongOutput, match="ends beyond the 5 that there are"):
        batch.difference([OutputTensor("name", "BYTES", (2,), b"\x09\0\0\0a")])


def test_two_answers_to_the_same_rows_are_compared_with_the_usual_tolerance():
    def answer(*values: float, name: str = "y") -> list[OutputTensor]:
        return [OutputTensor(name, "FP32", (len(values),), np.array(values, "<f4").tobytes())]

    assert difference(answer(1.0, np.nan), answer(1.001, np.nan), 2).over <= 1.0
    assert difference(answer(1.0, 2.0), answer(1.0, 2.1), 2).where == "'y' of row 1 is 2 instead of 2.1"
    with pytest.raises(WrongOutput, match="differ in name"):
        difference(answer(1.0), answer(1.0, name="z"), 1)
