"""Models of MLflow and of Triton, and programs that are converted."""

from datetime import timedelta
from pathlib import Path

import pytest
from click import UsageError
from headrace_client.errors import InvalidArgument
from headrace_client.operations.registration import Serving
from headrace_forge.mlflow_folders import read_mlflow
from headrace_forge.triton_folders import read_triton

from tests.kit.models import onnx_models
from tests.unit.client.test_model_files import archive, taken, written


@pytest.mark.parametrize(
    ("names", "of"),
    [
        pytest.param(("m/models/model.json",), "PyTorch", id="torch.export"),
        pytest.param(("m/data.pkl", "m/constants.pkl", "m/code/a.py"), "PyTorch", id="TorchScript"),
        pytest.param(("saved_model.pb",), "TensorFlow", id="SavedModel"),
    ],
)
def test_a_program_is_not_converted_without_trust(tmp_path: Path, names: tuple[str, ...], of: str):
    path = archive(tmp_path / "model", *names)
    with pytest.raises(UsageError, match=rf"is a program of {of}, and converting one runs it.*--trust"), taken(path):
        pass


def test_an_archive_of_a_saved_model_is_to_be_unpacked_before_it_is_converted(tmp_path: Path):
    path = archive(tmp_path / "model.zip", "saved_model.pb")
    with pytest.raises(UsageError, match="unpack it"), taken(path, trust=True):
        pass


MLMODEL = """
artifact_path: model
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}
  onnx: {data: model.onnx, onnx_version: 1.17.0}
mlflow_version: 2.19.0
model_uuid: 8f3a
run_id: 0a1b2c
"""


def test_a_folder_of_mlflow_is_its_model_with_the_run_in_the_lineage(tmp_path: Path):
    written(tmp_path, MLmodel=MLMODEL)
    (tmp_path / "model.onnx").write_bytes(onnx_models.linear().content)
    with taken(tmp_path) as source:
        assert (source.file, source.run, source.kept_as) == (tmp_path / "model.onnx", "0a1b2c", "onnx")
        assert source.parameters == {
            "mlflow_flavour": "onnx", "mlflow_version": "2.19.0", "mlflow_model_uuid": "8f3a",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("flavors: {onnx: {data: ../../etc/passwd}}", "does not lie in"),
        ("flavors: {onnx: {data: /etc/passwd}}", "does not lie in"),
        ("flavors: {onnx: {data: missing.onnx}}", "is not there"),
        ("flavors: {onnx: {}}", "names no file"),
        ("flavors: {keras: {}, python_function: {}}", "has the flavours keras; onnx, xgboost"),
        ("flavors: [1]", "names no flavours"),
        ("[1", "is not YAML"),
        ("x: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("{" * 2000, "nested too deeply"),
        ("flavors: {onnx: {data: .}}", "is no file"),
        (r'flavors: {onnx: {data: "a\0b"}}', "is not a name of a file"),
        (f"flavors: {{onnx: {{data: {'a' * 5000}}}}}", "File name too long"),
    ],
)
def test_a_description_that_names_no_model_of_its_folder_is_refused(tmp_path: Path, description, why):
    written(tmp_path, MLmodel=description)
    with pytest.raises(InvalidArgument, match=why):
        read_mlflow(tmp_path)


# Of a table that Triton publishes for its own examples, with more of what it knows.
CONFIG = """
name: "recommendation_model"
backend: "python"
max_batch_size: 64
input [ { name: "user_features" data_type: TYPE_FP32 dims: [ 128 ] },
        { name: "hour" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [ ] } optional: true } ]
output [ { name: "label" data_type: TYPE_STRING dims: [ 3 ] label_filename: "labels.txt" } ]
instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 kind: KIND_CPU } ]
dynamic_batching { preferred_batch_size: [ 16, 32, 128 ] max_queue_delay_microseconds: 1500 preserve_ordering: true }
parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }
version_policy { latest { num_versions: 2 } }
response_cache { enable: true }
"""


def test_a_folder_of_triton_is_read_into_our_settings_and_what_is_dropped_is_named(tmp_path: Path):
    written(tmp_path, config__pbtxt=CONFIG, requirements__txt="", **{"1___model__py": "", "10___model__py": "new"})
    written(tmp_path, **{"10___weights__npz": "x"})
    found = read_triton(tmp_path, tmp_path)
    assert (found.name, found.version, found.model.kept_as) == ("recommendation_model", "10", "python")
    assert found.model.files["model.py"].read_text() == "new"
    assert {"requirements.txt", "weights.npz"} <= set(found.model.files)
    assert found.serving == Serving(64, (16, 32), timedelta(milliseconds=1.5), 3, "cpu")
    assert found.contract is not None
    tensors = [(one.name, one.datatype, list(one.shape), one.optional) for one in found.contract.inputs]
    assert tensors == [("user_features", "FP32", [128], False), ("hour", "INT64", [], True)]
    assert found.contract.outputs[0].datatype == "BYTES"
    assert sorted(found.dropped) == [
        "dynamic_batching.preserve_ordering",
        "output label: label_filename",
        "parameter EXECUTION_ENV_PATH: name the packages in a requirements.txt, with their hashes",
        "response_cache",
        "version_policy",
        "versions 1: 10 is imported; import the others from folders of their own",
    ]


def test_requirements_that_are_a_link_are_not_taken(tmp_path: Path):
    written(tmp_path, secret="x", config__pbtxt='backend: "python"', **{"1___model__py": ""})
    (tmp_path / "requirements.txt").symlink_to(tmp_path / "secret")
    assert list(read_triton(tmp_path, tmp_path).model.files) == ["model.py"]


def test_an_onnx_folder_leaves_its_contract_to_the_file(tmp_path: Path):
    config = 'platform: "onnxruntime_onnx" max_batch_size: 8 default_model_filename: "net.onnx"'
    written(tmp_path / "net", config__pbtxt=config, **{"3___net__onnx": "x"})
    found = read_triton(tmp_path / "net", tmp_path)
    assert (found.name, found.contract, list(found.model.files)) == ("net", None, ["model.onnx"])
    assert found.serving.max_batch_rows == 8


@pytest.mark.parametrize(
    ("config", "files", "why"),
    [
        ('backend: "dali"', {"1___a": ""}, "the backend 'dali', which no pool runs"),
        ('platform: "ensemble" ensemble_scheduling { }', {"1___a": ""}, r"as a pipeline\.yaml"),
        ('backend: "python"', {}, "has no version"),
        ('backend: "python"', {"1___other__py": ""}, r"has no model\.py"),
        ('backend: "onnxruntime"', {"1___other__py": ""}, r"model\.onnx is not there"),
        ('backend: "onnxruntime" default_model_filename: "../../x"', {"1___a": "", "x": ""}, "is not there"),
        ('backend: "onnxruntime" default_model_filename: "../x"', {"1___a": "", "x": ""}, "does not lie in"),
        ('backend: "onnxruntime" default_model_filename: "/etc/hosts"', {"1___a": ""}, "does not lie in"),
        ('backend: "tensorflow" default_model_filename: "/etc"', {"1___a": ""}, "does not lie in"),
        ("backend: [", {"1___a": ""}, "is no configuration of Triton"),
        ('backend: "fil" parameters { key: "model_type" value { string_value: "treelite_checkpoint" } }',
         {"1___a": ""}, "'treelite_checkpoint' are not taken"),
        ('backend: "pytorch" input { name: "x" data_type: 999 }', {"1___model__pt": ""}, "'x' has the datatype 999"),
        ('backend: "pytorch"', {"²___model__pt": ""}, "has no version"),
        (f'backend: "pytorch" default_model_filename: "{"a" * 5000}"', {"1___a": ""}, "File name too long"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model_of_triton_is_refused_with_the_reason(tmp_path: Path, config, files, why):
    written(tmp_path, config__pbtxt=config, **files)
    with pytest.raises(InvalidArgument, match=why):
        read_triton(tmp_path, tmp_path)
