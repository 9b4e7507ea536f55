"""Signatures of MLflow: names, datatypes and shapes that they give, and models that take something else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_forge.mlflow_folders import read_mlflow
from headrace_forge.mlflow_signatures import Port, Signature, names_of_values, signature_of

from tests.kit.models import onnx_models
from tests.unit.client.test_model_files import taken


def columns(**types: str) -> str:
    return json.dumps([{"name": name, "type": kind, "required": True} for name, kind in types.items()])


def tensor(dtype: str, *shape: int, name: str | None = None) -> dict[str, Any]:
    return {"type": "tensor", **({"name": name} if name else {}), "tensor-spec": {"dtype": dtype, "shape": shape}}


FEATURES = json.dumps([tensor("float32", -1, 4, name="features")])
SCORES = json.dumps([tensor("float32", -1, 3, name="scores")])


def folder_of(path: Path, flavour: str, file: str, inputs: str, outputs: str | None = None) -> Path:
    signature = json.dumps({"inputs": inputs, "outputs": outputs, "params": None})
    member = "data" if flavour == "onnx" else "pickled_model"
    (path / "MLmodel").write_text(f"flavors: {{{flavour}: {{{member}: {file}}}}}\nsignature: {signature}\n")
    return path


def test_columns_and_tensors_have_names_datatypes_and_the_shape_of_a_row():
    found = signature_of({"inputs": columns(age="long", job="string"), "outputs": SCORES}, "MLmodel")
    assert found.inputs == (Port("age", "INT64"), Port("job", "BYTES"))
    assert found.outputs == (Port("scores", "FP32", (3,)),)
    assert found.columns == ("age", "job")


def test_a_side_with_types_that_no_tensor_has_says_nothing():
    assert signature_of({"inputs": columns(age="long", born="datetime")}, "MLmodel") == Signature()


@pytest.mark.parametrize("written", ["{", "7", '{"a": 1}', "[[1]]", '[{"tensor-spec": {"dtype": "x"}}]', 7])
def test_a_signature_that_is_none_is_refused_with_its_place(written: Any):
    with pytest.raises(InvalidArgument, match=r"MLmodel, signature\.inputs, is no list of columns or tensors"):
        signature_of({"inputs": written}, "MLmodel")


@pytest.mark.parametrize(
    ("given", "of_model", "why"),
    [
        ({"features": [[1.0, 2.0, 3.0]]}, (), "takes 3 values a row, and its signature has 2"),
        ({"age": [[1.0]], "wage": [[2.0]]}, (), "takes 'wage', which its signature does not have"),
        ({"features": [[1.0, 2.0]]}, ("age", "wage"), "takes 'wage'"),
        ({"age": [[1.0]], "job": [[2.0]]}, (), "takes numbers as 'job'"),
    ],
)
def test_a_model_that_takes_other_inputs_than_its_signature_says_is_refused(given, of_model, why: str):
    signature = signature_of({"inputs": columns(age="double", job="string")}, "MLmodel")
    with pytest.raises(InvalidArgument, match=why):
        names_of_values(signature, given, of_model)


def test_the_values_of_one_input_get_the_names_of_the_signature_where_the_model_has_none():
    signature = signature_of({"inputs": columns(age="double", wage="double")}, "MLmodel")
    assert names_of_values(signature, {"features": [[1.0, 2.0]]}, ()) == ("age", "wage")
    assert names_of_values(signature, {"features": [[1.0, 2.0]]}, ("age", "wage")) == ("age", "wage")


def test_named_tensors_of_an_onnx_file_are_its_contract(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(onnx_models.linear().content)
    with taken(folder_of(tmp_path, "onnx", "model.onnx", FEATURES, SCORES)) as source:
        assert source.contract is not None
        (one,), (other,) = source.contract.inputs, source.contract.outputs
        assert (one.name, one.datatype, list(one.shape)) == ("features", "FP32", [4])
        assert (other.name, other.datatype, list(other.shape)) == ("scores", "FP32", [3])


@pytest.mark.long
def test_a_pipeline_of_texts_and_numbers_is_converted_by_its_signature_alone(tmp_path: Path):
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0], "job": ["cook", "nurse", "cook", "clerk"]})
    encode = ColumnTransformer([("text", OneHotEncoder(), ["job"]), ("number", StandardScaler(), ["age"])])
    pipeline = make_pipeline(encode, LogisticRegression()).fit(table, [0, 1, 0, 1])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(pipeline))
    folder = folder_of(tmp_path, "sklearn", "model.pkl", columns(age="double", job="string"))
    assert read_mlflow(folder).example is None
    with taken(folder, trust=True) as source:
        inputs = json.loads(source.artifacts[VALIDATION_FILE].read_bytes())["inputs"]
    assert set(inputs) == {"age", "job"}
    assert {row[0] for row in inputs["job"]} == {"cook", "nurse", "clerk"}, "texts that its encoder knows"

    folder_of(tmp_path, "sklearn", "model.pkl", columns(age="double", trade="string"))
    with pytest.raises(InvalidArgument, match="job"), taken(folder, trust=True):
        pass
