"""Data frames, records and columns become tensors by the contract, or are refused by the name of their column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_client.operations.contracts import from_configuration
from headrace_client.tables import typed_inputs

from tests.kit.rows import each

Spec = tensor_pb2.TensorSpec

ONE = tensor_pb2.ServingContract(inputs=[Spec(name="features", datatype="FP32", shape=[2])])
NAMED = tensor_pb2.ServingContract(
    inputs=[
        Spec(name="age", datatype="INT64", shape=[1]),
        Spec(name="income", datatype="FP32", nan_allowed=True),
        Spec(name="city", datatype="BYTES"),
        Spec(name="hint", datatype="FP32", optional=True),
    ]
)
FRAME = pd.DataFrame({"age": [31, 40], "income": [1.5, None], "city": ["Köln", "Rome"]})


def arrays(inputs: Any, contract: tensor_pb2.ServingContract) -> dict[str, Any]:
    return {name: (str(array.dtype), array.tolist()) for name, array in typed_inputs(inputs, contract).items()}  # type: ignore[union-attr]


@each(
    "table",
    [
        pytest.param(FRAME, id="a data frame"),
        pytest.param(FRAME.sample(frac=1, axis=1, random_state=1), id="columns in another order"),
        pytest.param(FRAME.convert_dtypes(), id="pandas' own types"),
        pytest.param(FRAME.astype({"city": "category"}), id="categories"),
        pytest.param(FRAME.set_index(pd.Index([7, 7])), id="an index that says nothing"),
        pytest.param(FRAME.to_dict("records"), id="records"),
        pytest.param(FRAME.to_dict("list"), id="columns"),
        pytest.param({name: FRAME[name] for name in FRAME}, id="series"),
    ],
)
def test_columns_are_inputs_by_their_names(table: Any) -> None:
    found = arrays(table, NAMED)
    assert found.keys() == {"age", "income", "city"}
    assert found["age"] == ("int64", [[31], [40]])
    assert found["city"] == ("object", ["Köln", "Rome"])
    assert found["income"][0] == "float32"
    assert found["income"][1][0] == 1.5
    assert np.isnan(found["income"][1][1])


def test_columns_of_one_array_keep_their_order() -> None:
    assert arrays(pd.DataFrame({"b": [1, 2], "a": [3.5, 4]}), ONE) == {"features": ("float32", [[1, 3.5], [2, 4]])}
    assert arrays(np.array([[1, 2]]), ONE) == {"features": ("float32", [[1, 2]])}


@each(
    "table,contract,words",
    [
        pytest.param(FRAME.drop(columns="city"), NAMED, "inputs.city: is missing", id="a missing column"),
        pytest.param(FRAME.assign(citty="x"), NAMED, "inputs.citty: is no input of the model", id="a strange column"),
        pytest.param(FRAME.assign(age=[1.5, 2]), NAMED, "inputs.age: .*cannot hold", id="a fraction"),
        pytest.param(FRAME.assign(age=[1, None]), NAMED, "inputs.age: .*cannot hold", id="a missing integer"),
        pytest.param(
            FRAME.assign(age=pd.array([1, None], "Int64")),
            NAMED,
            "inputs.age: .*cannot hold",
            id="pandas' missing value",
        ),
        pytest.param({"age": [1, None]}, NAMED, "inputs.age: has a missing value", id="None for an integer"),
        pytest.param(FRAME.assign(income=[1e300, 1]), NAMED, "inputs.income: .*cannot hold", id="beyond FP32"),
        pytest.param(
            FRAME.assign(income=[2**24 + 1, 1]), NAMED, "inputs.income: .*cannot hold", id="not exact in FP32"
        ),
        pytest.param(FRAME.assign(income="much"), NAMED, "inputs.income: .*FP32 numbers", id="text"),
        pytest.param(FRAME, ONE, "inputs.age: is no input of the model; it takes features", id="three columns for two"),
        pytest.param({"income": [1.0]}, ONE, "inputs.income: the model has no such input", id="a strange array"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_its_column(table: Any, contract: Any, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        typed_inputs(table, contract)


def test_a_configuration_in_tritons_terms_says_the_contract() -> None:
    text = """{"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]},
      {"name": "t", "data_type": "TYPE_STRING", "dims": [1], "reshape": {"shape": []}, "optional": true}],
      "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [-1]}]}"""
    contract = from_configuration(text)
    assert [(spec.name, spec.datatype, list(spec.shape), spec.optional) for spec in contract.inputs] == [
        ("x", "FP32", [2], False),
        ("t", "BYTES", [], True),
    ]
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in contract.outputs] == [("y", "INT64", [-1])]
