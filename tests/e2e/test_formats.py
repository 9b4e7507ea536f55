"""Models as people have them, through the whole stack: registered, promoted, and asked through the front door."""

import json
import pickle
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from headrace_client import Client
from headrace_client.model_files import ModelFiles
from headrace_servicekit.testing import patience
from onnx import TensorProto, helper

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models

# As irises are: lengths and widths in centimetres.
ROWS = np.random.default_rng(1).normal((5.8, 3.1, 3.8, 1.2), (0.8, 0.4, 1.8, 0.8), (15, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def pipeline():
    # Here, as it takes a second that every worker would wait when it collects tests.
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(*load_iris(return_X_y=True))


def pickled(folder: Path, pipeline) -> Path:
    file = folder / "model.pkl"
    file.write_bytes(pickle.dumps(pipeline))
    return file


def answers(headrace: Headrace, rows: np.ndarray) -> dict[str, np.ndarray]:
    answer = headrace("predict", headrace.model, "--rows", json.dumps(rows.tolist()))
    return {name: np.array(values) for name, values in answer["outputs"].items()}


@pytest.mark.long
def test_a_pickled_pipeline_is_refused_unless_it_is_trusted_and_then_answers_as_it_did(
    headrace: Headrace, pipeline
) -> None:
    file = pickled(headrace.folder, pipeline)
    refused = headrace.run("models", "register", headrace.model, "v1", str(file), *GOOD)
    assert refused.exit_code != 0
    assert "--trust" in refused.stderr
    headrace("models", "register", headrace.model, "v1", str(file), "--trust", *GOOD)
    headrace("models", "promote", headrace.model, "v1")
    np.testing.assert_allclose(
        answers(headrace, ROWS)["probabilities"], pipeline.predict_proba(ROWS), rtol=1e-3, atol=1e-4
    )
    version = headrace("models", "show", headrace.model, "v1")["version"]
    assert version["parameters"]["framework"].startswith("scikit-learn ")


@pytest.mark.long
def test_a_folder_of_mlflow_is_served_in_a_minute_and_its_version_names_the_run(headrace: Headrace, pipeline) -> None:
    folder = headrace.folder / "model"
    folder.mkdir()
    pickled(folder, pipeline)
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function: {loader_module: mlflow.sklearn}\n"
        "  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}\n"
        "mlflow_version: 3.1.0\nrun_id: 0123456789abcdef0123456789abcdef\n"
        "saved_input_example_info: {artifact_path: input_example.json, type: ndarray}\n"
    )
    (folder / "input_example.json").write_text(json.dumps({"inputs": ROWS.tolist()}))
    began = time.monotonic()
    served = headrace("models", "serve", str(folder), "--name", headrace.model, "--trust")
    assert time.monotonic() - began < patience(60)
    assert served["version"] == "v1"
    assert (served["compared"]["rows"], served["compared"]["difference"] < 1e-4) == (len(ROWS), True)
    np.testing.assert_allclose(
        answers(headrace, ROWS)["probabilities"], pipeline.predict_proba(ROWS), rtol=1e-3, atol=1e-4
    )
    version = headrace("models", "show", headrace.model, "v1")["version"]
    assert version["lineage"]["run"] == "0123456789abcdef0123456789abcdef"
    assert version["parameters"]["mlflow_flavour"] == "sklearn"
    # The same content is the same version; other facts are another one.
    assert headrace("models", "serve", str(folder), "--name", headrace.model, "--trust")["version"] == "v1"
    figures = ("--metric", "accuracy=0.9", "--label", "low", "--label", "high")
    assert headrace("models", "serve", str(folder), "--name", headrace.model, "--trust", *figures)["version"] == "v2"


def test_the_signature_of_a_folder_of_mlflow_is_the_contract_that_its_file_is_checked_against(
    headrace: Headrace,
) -> None:
    folder = headrace.folder / "signed"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx_models.linear(4, 3).content)

    def sign(width: int) -> None:
        sides = {
            side: json.dumps([{"name": name, "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}])
            for side, name, shape in (("inputs", "features", [-1, width]), ("outputs", "scores", [-1, 3]))
        }
        (folder / "MLmodel").write_text(f"flavors: {{onnx: {{data: model.onnx}}}}\nsignature: {json.dumps(sides)}\n")

    sign(5)
    error = headrace("models", "register", headrace.model, "v1", str(folder), code=2)["error"]
    assert [one["field"] for one in error["violations"]] == ["version.contract.inputs[0].shape"]
    sign(4)
    version = headrace("models", "register", headrace.model, "v1", str(folder))["version"]
    assert version["contract"]["inputs"][0]["shape"] == ["4"]


def test_a_folder_of_triton_answers_with_its_settings_and_what_is_dropped_is_said(headrace: Headrace) -> None:
    tiny, folder = onnx_models.linear(4, 3), headrace.folder / "scores"
    (folder / "3").mkdir(parents=True)
    (folder / "3" / "model.onnx").write_bytes(tiny.content)
    (folder / "config.pbtxt").write_text(
        'platform: "onnxruntime_onnx" max_batch_size: 16 response_cache { enable: true } '
        "dynamic_batching { preferred_batch_size: [ 4, 16 ] max_queue_delay_microseconds: 2000 } "
        'input { name: "features" data_type: TYPE_FP32 dims: [ 4 ] } '
        'output { name: "scores" data_type: TYPE_FP32 dims: [ 3 ] }'
    )
    done = headrace("models", "import", "triton", str(folder), "--model", headrace.model, *GOOD)
    assert done["dropped"] == ["response_cache"]
    headrace("models", "promote", headrace.model, "v3")
    rows = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32).round(3)
    np.testing.assert_allclose(
        answers(headrace, rows)["scores"], tiny.expected({"features": rows})["scores"], rtol=1e-4
    )
    serving = headrace("models", "settings", headrace.model, "v3")["version"]["serving"]
    assert (serving["max_batch_rows"], serving["preferred_batch_rows"]) == (16, [4, 16])


def test_a_folder_of_triton_that_no_pool_runs_is_registered_and_not_promoted(
    headrace: Headrace,
) -> None:
    folder = headrace.folder / "resnet"
    (folder / "1").mkdir(parents=True)
    with zipfile.ZipFile(folder / "1" / "model.pt", "w") as archive:
        for name in ("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"):
            archive.writestr(name, b"x")
    (folder / "config.pbtxt").write_text(
        'platform: "pytorch_libtorch" max_batch_size : 0 '
        'input [ { name: "input__0" data_type: TYPE_FP32 dims: [ 3, 8 ] reshape { shape: [ 1, 3, 8 ] } } ] '
        'output [ { name: "output__0" data_type: TYPE_FP32 dims: [ 10 ] reshape { shape: [ 1, 10 ] } } ]'
    )
    done = headrace("models", "import", "triton", str(folder), "--model", headrace.model, *GOOD)
    assert done["dropped"] == []
    assert done["version"]["contract"]["inputs"][0]["batch_dimension"] == "BATCH_DIMENSION_ONE"
    refused = headrace.run("models", "promote", headrace.model, "v1")
    assert "is torchscript, which no pool runs" in refused.stderr


def test_trees_run_as_the_onnx_model_beside_them_where_no_pool_has_their_own_runtime(headrace: Headrace) -> None:
    """Two leaves: 1.5 below 0.5, 2.5 from there on."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LT", "LEAF", "LEAF"],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.5, 2.5],
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    own, converted = headrace.folder / "xgboost.json", headrace.folder / "model.onnx"
    own.write_text(json.dumps({"learner": {}, "version": [3, 2, 0]}))
    converted.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    with Client(headrace.stack.address, token=headrace.stack.token("people")) as client:
        made = client.versions.register(
            headrace.model,
            "v1",
            own,
            files=ModelFiles("fil", {"xgboost.json": own, "model.onnx": converted}),
            metrics={"accuracy": 0.95, "latency_p99_ms": 2.0},
        )
    assert {one.name for one in made.artifacts} == {"xgboost.json", "model.onnx"}
    headrace("models", "promote", headrace.model, "v1")
    np.testing.assert_allclose(np.ravel(answers(headrace, np.array([[0.0, 0], [1, 0]]))["score"]), [1.5, 2.5])


def test_code_is_refused_by_a_stack_that_takes_none_with_the_remedy(headrace: Headrace) -> None:
    (headrace.folder / "model.py").write_text("class TritonPythonModel: ...\n")
    refused = headrace.run("models", "register", headrace.model, "v1", str(headrace.folder / "model.py"))
    assert refused.exit_code != 0
    assert "REGISTRY_ALLOW_CODE" in refused.stderr
