"""JSON rows are read by the serving contract."""

import numpy as np
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_client.rows import cast_to_contract, inputs_from_rows, to_json_value
from headrace_client.tensors import BFloat16

from tests.kit.rows import each

Spec = tensor_pb2.TensorSpec

IMAGE = tensor_pb2.ServingContract(inputs=[Spec(name="image", datatype="FP32", shape=[2])])
SCALAR = tensor_pb2.ServingContract(inputs=[Spec(name="age", datatype="UINT8")])
TWO = tensor_pb2.ServingContract(
    inputs=[
        Spec(name="user", datatype="INT64", shape=[2]),
        Spec(name="country", datatype="BYTES"),
        Spec(name="hint", datatype="FP32", optional=True),
    ]
)


def test_bare_rows_go_to_the_only_input_with_its_datatype() -> None:
    inputs = inputs_from_rows([[0, 1], [2, 3.5]], IMAGE)
    assert list(inputs) == ["image"]
    array = np.asarray(inputs["image"])
    assert (array.dtype, array.tolist()) == (np.float32, [[0, 1], [2, 3.5]])


def test_rows_as_objects_fill_several_inputs_and_leave_optional_ones_out() -> None:
    inputs = inputs_from_rows([{"user": [1, 2], "country": "DE"}, {"user": [3, 4], "country": "FR"}], TWO)
    assert list(inputs) == ["user", "country"]
    assert np.asarray(inputs["user"]).dtype == np.int64
    assert np.asarray(inputs["country"]).tolist() == ["DE", "FR"]


def test_rows_by_column_fill_the_one_input_that_names_columns() -> None:
    table = tensor_pb2.ServingContract(
        inputs=[Spec(name="features", datatype="FP32", shape=[2], columns=["age", "income"], nan_allowed=True)]
    )
    rows = [{"income": 2, "age": 1}, {"age": None, "income": 4}]
    found = inputs_from_rows(rows, table)["features"]
    np.testing.assert_array_equal(found, np.array([[1, 2], [np.nan, 4]], np.float32))
    np.testing.assert_array_equal(inputs_from_rows([{"features": [1, 2]}], table)["features"], [[1, 2]])
    with pytest.raises(InvalidArgument, match=r"rows\[1\].income: is missing"):
        inputs_from_rows([rows[0], {"age": 3}], table)
    with pytest.raises(InvalidArgument, match="no such column; it takes age, income"):
        inputs_from_rows([{"age": 1, "incom": 2}], table)


def test_one_value_per_row_needs_no_inner_list() -> None:
    assert np.asarray(inputs_from_rows([1, 255], SCALAR)["age"]).tolist() == [1, 255]
    column = tensor_pb2.ServingContract(inputs=[Spec(name="age", datatype="UINT8", shape=[1])])
    for rows in ([1, 255], [[1], [255]], [{"age": 1}, {"age": 255}], [{"age": [1]}, {"age": [255]}]):
        assert np.asarray(inputs_from_rows(rows, column)["age"]).tolist() == [[1], [255]]


@each(
    "rows,contract,field,words",
    [
        pytest.param([], IMAGE, "rows", "at least one row", id="no rows"),
        pytest.param({"image": [0, 1]}, IMAGE, "rows", "must be a list", id="an object"),
        pytest.param([0, 1], IMAGE, "rows", "looks like one row", id="a row without its list"),
        pytest.param([[0, 1], [2]], IMAGE, "rows", "different shapes", id="ragged"),
        pytest.param([["a", "b"]], IMAGE, "rows", "takes FP32", id="text for numbers"),
        pytest.param([300], SCALAR, "rows", "cannot hold", id="too large"),
        pytest.param([1.5], SCALAR, "rows", "cannot hold", id="a fraction for an integer"),
        pytest.param([[1, 2]], TWO, "rows", "several inputs", id="which input"),
        pytest.param([{"user": [1, 2], "county": "DE"}], TWO, "rows[0].county", "no such input", id="a typo"),
        pytest.param([{"user": 1, "country": "DE"}], TWO, "rows[].user", "2 dimensions, rows first", id="a bare value"),
        pytest.param([{"user": [1, 2]}], TWO, "rows[0].country", "is missing", id="missing"),
        pytest.param(
            [{"user": [1, 2], "country": "DE", "hint": 1}, {"user": [1, 2], "country": "DE"}],
            TWO,
            "rows[1].hint",
            "is missing",
            id="optional in some rows only",
        ),
    ],
)
def test_wrong_rows_are_refused_by_row_and_input(
    rows: object, contract: tensor_pb2.ServingContract, field: str, words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words) as refused:
        inputs_from_rows(rows, contract)
    assert refused.value.violations[0].field == field


def test_a_float64_file_is_cast_to_the_contract_and_an_unknown_input_is_refused() -> None:
    assert np.asarray(cast_to_contract("image", np.zeros((1, 2)), IMAGE)).dtype == np.float32
    with pytest.raises(InvalidArgument, match="it takes image"):
        cast_to_contract("picture", np.zeros((1, 2)), IMAGE)


def test_bf16_values_are_marked_as_such() -> None:
    contract = tensor_pb2.ServingContract(inputs=[Spec(name="x", datatype="BF16")])
    assert isinstance(inputs_from_rows([1.0], contract)["x"], BFloat16)


def test_outputs_become_json_that_any_parser_reads() -> None:
    values = to_json_value(np.array([[1.5, np.nan], [np.inf, -np.inf]]))
    assert values == [[1.5, "NaN"], ["Infinity", "-Infinity"]]
    assert to_json_value(np.array([b"text", b"\xff\xfe"], object)) == ["text", "//4="]


def test_null_is_nan_where_the_contract_allows_it() -> None:
    table = tensor_pb2.ServingContract(inputs=[Spec(name="income", datatype="FP32", shape=[2], nan_allowed=True)])
    array = np.asarray(inputs_from_rows([[None, 1], [2.5, None]], table)["income"])
    np.testing.assert_array_equal(array, np.array([[np.nan, 1], [2.5, np.nan]], np.float32))
    column = tensor_pb2.ServingContract(inputs=[Spec(name="income", datatype="FP64", shape=[1], nan_allowed=True)])
    assert np.isnan(np.asarray(inputs_from_rows([{"income": None}], column)["income"])).all()
    with pytest.raises(InvalidArgument, match="allows no NaN: models register --allow-nan image"):
        inputs_from_rows([[None, 1]], IMAGE)
    with pytest.raises(InvalidArgument, match="takes FP32 numbers"):
        inputs_from_rows([[None, "1"]], table)
