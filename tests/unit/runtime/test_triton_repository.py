"""Folders that Triton loads: what is declared, and never half of one."""

import zipfile
from pathlib import Path

import pytest
from google.protobuf import text_format
from headrace_runtime.backends.backend import LoadBudget, ModelFiles
from headrace_runtime.backends.triton_repository import Repository, model_config, tensor_names
from headrace_runtime.contract import BatchDimension, Contract, TensorSpec
from headrace_runtime.formats import MODEL_FILES, Format
from headrace_stack.settings import checkout_of_this_file
from tritonclient.grpc import model_config_pb2

ModelConfig = model_config_pb2.ModelConfig  # pyright: ignore[reportAttributeAccessIssue]
GOLDEN = checkout_of_this_file() / "tests" / "golden" / "triton"

CONTRACT = Contract(
    (TensorSpec("x", "FP32", (-1, 3)), TensorSpec("hint", "BYTES", (), optional=True)),
    (TensorSpec('odd "name"', "INT64", ()),),
)


def files(path, **changes) -> ModelFiles:
    return ModelFiles(**{"name": "m--v1", "path": path, "contract": CONTRACT, "max_rows": 16, **changes})


def test_a_configuration_declares_tensors_rows_and_instances(tmp_path):
    config = model_config(files(tmp_path / "model.onnx", instances=2, device="GPU"))
    for line in (
        'name: "m--v1"',
        'backend: "onnxruntime"',
        "max_batch_size: 16",
        "data_type: TYPE_STRING",
        "optional: true",
        r'name: "odd \"name\""',
        "count: 2",
        "kind: KIND_GPU",
    ):
        assert line in config
    assert "dynamic_batching" not in config


def test_writing_again_replaces_the_folder_and_leaves_the_source_alone(tmp_path):
    source = tmp_path / "blob"
    repository = Repository(tmp_path / "models")
    repository.clear()
    for content in (b"one", b"two"):
        source.unlink(missing_ok=True)
        source.write_bytes(content)
        repository.write(files(source))
        assert (repository.root / "m--v1" / "1" / "model.onnx").read_bytes() == content
    assert [folder.name for folder in repository.root.iterdir()] == ["m--v1"]
    repository.remove("m--v1")
    repository.remove("m--v1")
    assert source.read_bytes() == b"two"


def test_a_cleared_repository_is_there_and_empty(tmp_path):
    repository = Repository(tmp_path / "models")
    (repository.root / "old--v1").mkdir(parents=True)
    repository.clear()
    assert list(repository.root.iterdir()) == []


def test_a_model_without_rows_of_any_number_is_declared_as_its_file_is(tmp_path):
    one, none = BatchDimension.ONE, BatchDimension.NONE
    contract = Contract(
        (TensorSpec("x", "FP32", (4,)), TensorSpec("limit", "FP32", (), batch_dimension=none)),
        (TensorSpec("label", "INT64", (), batch_dimension=one), TensorSpec("scores", "FP32", (3,))),
    )
    config = text_format.Parse(model_config(files(tmp_path / "model.onnx", contract=contract)), ModelConfig())
    assert config.max_batch_size == 0
    tensors = {entry.name: list(entry.dims) for entry in (*config.input, *config.output)}
    # As the file has them, but for the number: Triton has no tensors without a dimension.
    assert tensors == {"x": [-1, 4], "limit": [1], "label": [1], "scores": [-1, 3]}
    assert not any(entry.HasField("reshape") for entry in (*config.input, *config.output))


ROWS = Contract(
    (TensorSpec("image", "FP32", (3, 8)), TensorSpec("hour", "INT64", ())),
    (TensorSpec("probabilities", "FP32", (10,)),),
)
TREES = Contract((TensorSpec("features", "FP32", (32,)),), (TensorSpec("score", "FP32", ()),))
CLASSES = Contract(TREES.inputs, (TensorSpec("probabilities", "FP32", (3,)),))
WRITTEN = [
    pytest.param(Format.TORCHSCRIPT, "model.pt", ROWS, "torchscript", id="TorchScript"),
    pytest.param(Format.PT2, "model.pt2", ROWS, "pt2", id="AOTInductor"),
    pytest.param(Format.SAVEDMODEL, "model.savedmodel.zip", ROWS, "savedmodel", id="SavedModel"),
    pytest.param(Format.TENSORRT, "model.plan", ROWS, "tensorrt", id="TensorRT"),
    pytest.param(Format.FIL, "xgboost.ubj", TREES, "fil-score", id="trees with a score"),
    pytest.param(Format.FIL, "lightgbm.txt", CLASSES, "fil-classes", id="trees with classes"),
]


@pytest.mark.parametrize(("kept_as", "model_file", "contract", "name"), WRITTEN)
def test_the_configuration_of_a_format_is_the_golden_one(
    tmp_path: Path, kept_as: Format, model_file: str, contract: Contract, name: str
):
    """Held against what Triton's backends document; their own parser reads it."""
    told = files(tmp_path / "file", contract=contract, kept_as=kept_as, model_file=model_file)
    config = text_format.Parse(model_config(told, LoadBudget()), ModelConfig())
    assert config == text_format.Parse((GOLDEN / f"{name}.pbtxt").read_text(), ModelConfig())


@pytest.mark.parametrize(
    ("names", "there"),
    [
        pytest.param(("x", "y"), ("INPUT__0", "INPUT__1"), id="by position"),
        pytest.param(("ARGS[0]", "KWARGS[mask]"), ("ARGS[0]", "KWARGS[mask]"), id="as its call is specified"),
        pytest.param(("INPUT__1", "INPUT__0"), ("INPUT__1", "INPUT__0"), id="positions of its own"),
    ],
)
def test_tensors_of_a_compiled_program_have_the_names_that_its_backend_knows(names, there):
    inputs = tuple(TensorSpec(name, "FP32", (3,)) for name in names)
    assert tensor_names(Format.PT2, Contract(inputs, ())).inputs == there
    assert tensor_names(Format.TORCHSCRIPT, Contract(inputs, ())).inputs == names


@pytest.mark.parametrize("kept_as", [one for one in Format if one is not Format.OIP])
def test_the_file_of_a_version_lies_where_its_backend_looks_for_it(tmp_path: Path, kept_as: Format):
    found = {}
    for number, model_file in enumerate(MODEL_FILES[kept_as]):
        with zipfile.ZipFile(source := tmp_path / "file", "w") as archive:
            archive.writestr("saved_model.pb", b"x")
        repository = Repository(tmp_path / f"models{number}")
        repository.clear()
        repository.write(files(source, contract=TREES, kept_as=kept_as, model_file=model_file))
        found[model_file] = sorted(path.name for path in (repository.root / "m--v1" / "1").rglob("*") if path.is_file())
    names = {
        "model.savedmodel.zip": "saved_model.pb", "lightgbm.txt": "model.txt",
    }  # fmt: skip
    assert found == {name: [names.get(name, name)] for name in MODEL_FILES[kept_as]}
