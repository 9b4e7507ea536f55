"""Which inputs may hold NaN: those that are named, and those with gaps in the validation set."""

import json

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_client.operations.missing_values import with_nan_allowed

STATED = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name=name, datatype="FP32", shape=[2]) for name in ("age", "income")]
)


def allowed(contract: tensor_pb2.ServingContract | None) -> list[str]:
    assert contract is not None
    return [spec.name for spec in contract.inputs if spec.nan_allowed]


def test_a_contract_stays_where_nothing_is_missing(tmp_path) -> None:
    path = tmp_path / "validation.json"
    path.write_text(json.dumps({"inputs": {"age": [[1.0, 2]], "city": ["Oslo", None], "known": [True, None]}}))
    assert with_nan_allowed(None, (), {}) is None
    assert with_nan_allowed(STATED, (), {"validation.json": path}) is STATED


def test_inputs_are_named_alone_where_the_model_file_states_them() -> None:
    contract = with_nan_allowed(tensor_pb2.ServingContract(labels=["a"]), ("income",), {})
    assert contract == tensor_pb2.ServingContract(
        inputs=[tensor_pb2.TensorSpec(name="income", nan_allowed=True)], labels=["a"]
    )


@pytest.mark.parametrize("missing", ["null", "NaN"])
def test_numbers_with_gaps_in_the_validation_set_may_be_missing(tmp_path, missing: str) -> None:
    path = tmp_path / "validation.json"
    path.write_text(f'{{"inputs": {{"age": [[1.0, 2], [{missing}, 3]], "income": [[1, 1]], "other": [{missing}]}}}}')
    assert allowed(with_nan_allowed(STATED, ("income",), {"validation.json": path})) == ["age", "income"]
    assert allowed(with_nan_allowed(None, (), {"validation.json": path})) == ["age", "other"]
    assert allowed(STATED) == []


def test_a_name_that_a_stated_contract_has_not_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'wage' is not an input; there are: age, income"):
        with_nan_allowed(STATED, ("wage",), {})


@pytest.mark.parametrize("content", ["", "[]", '{"inputs": 1}', "[" * 100_000])
def test_a_file_that_cannot_be_read_is_the_registrys_to_refuse(tmp_path, content: str) -> None:
    path = tmp_path / "validation.json"
    path.write_text(content)
    assert with_nan_allowed(None, (), {"validation.json": path, "other.json": tmp_path / "none"}) is None
    assert with_nan_allowed(None, (), {"validation.json": tmp_path / "none"}) is None
