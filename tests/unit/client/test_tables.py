"""Data frames, records and columns become tensors by the contract, or are refused by the name of their column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.address import Address
from headrace_client.calls import Operation, Page, Session
from headrace_client.errors import DeadlineExceeded, HeadraceError, InvalidArgument, Unavailable
from headrace_client.operations.contracts import from_configuration, with_types
from headrace_client.tables import typed_inputs
from headrace_client.tokens import TokenCache
from headrace_client.web_pages import WebPages

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
COLUMNS = tensor_pb2.ServingContract(inputs=[Spec(name="features", datatype="FP32", shape=[2], columns=["a", "b"])])
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


def test_columns_that_a_contract_names_are_taken_by_name() -> None:
    frame = pd.DataFrame({"b": [1, 2], "a": [3.5, None]})
    ((_, rows),) = arrays(frame, COLUMNS).values()
    assert rows[0] == [3.5, 1]
    assert np.isnan(rows[1][0])


def test_a_column_may_hold_a_row_of_several_values() -> None:
    frame = pd.DataFrame({"features": [[1, 2], [3, 4.5]]})
    assert arrays(frame, ONE) == {"features": ("float32", [[1, 2], [3, 4.5]])}


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
        pytest.param(FRAME[["age", "income"]], COLUMNS, "inputs.age: .*no such column", id="another column"),
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
      "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [-1]}],
      "parameters": {"columns": {"string_value": "{\\"x\\": [\\"age\\", \\"income\\"]}"}}}"""
    contract = from_configuration(text)
    assert [(spec.name, spec.datatype, list(spec.shape), spec.optional) for spec in contract.inputs] == [
        ("x", "FP32", [2], False),
        ("t", "BYTES", [], True),
    ]
    assert [list(spec.columns) for spec in contract.inputs] == [["age", "income"], []]
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in contract.outputs] == [("y", "INT64", [-1])]


@each("text", ["<html>", "[]", "{}", '{"input": 7}', '{"input": [{}], "output": []}', "[" * 100_000])
def test_what_describes_no_model_is_an_error_of_the_client(text: str) -> None:
    with pytest.raises(HeadraceError, match="in no form that is known"):
        from_configuration(text)


def walked(operation: Operation[str], *pages: Callable[[], str]) -> str:
    """Return what an operation ends with, where reading a page does these things in turn."""
    reads = iter(pages)
    try:
        step = next(operation)
        while True:
            assert isinstance(step, Page)
            try:
                page = next(reads)()
            except HeadraceError as error:
                step = operation.throw(error)
            else:
                step = operation.send(page)
    except StopIteration as ended:
        return ended.value


def refusing(arrays: Any, left_s: float) -> Operation[str]:
    """Take INT64 alone, as a data plane does."""
    yield from ()
    if np.asarray(arrays["x"]).dtype != np.int64:
        raise InvalidArgument("x is no INT64", reason="CONTRACT_VIOLATED")
    return f"answered with {left_s:g} s left"


class Clock:
    """Time that reading the contract takes."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.now_s, self._takes_s = 0.0, takes_s
        self.session = Session(
            TokenCache(None), monotonic=lambda: self.now_s, pages=WebPages(Address("127.0.0.1", 1, tls=False), None)
        )

    def read(self) -> str:
        self.now_s += self._takes_s
        return '{"input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [1]}], "output": []}'

    def away(self) -> str:
        raise Unavailable("away")

    def call(self) -> Operation[str]:
        return with_types(self.session, "m", "", {"x": [1.0]}, 10.0, refusing)


def test_the_contract_is_read_once_and_within_the_time_of_the_call() -> None:
    clock = Clock(takes_s=4.0)
    assert walked(clock.call(), clock.read) == "answered with 6 s left"
    assert walked(clock.call()) == "answered with 10 s left"


def test_a_call_whose_time_is_over_when_the_contract_is_there_is_too_late() -> None:
    clock = Clock(takes_s=11.0)
    with pytest.raises(DeadlineExceeded):
        walked(clock.call(), clock.read)


def test_a_refusal_stands_where_the_contract_cannot_be_read() -> None:
    clock = Clock()
    with pytest.raises(InvalidArgument, match="x is no INT64"):
        walked(clock.call(), clock.away)
