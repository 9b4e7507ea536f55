"""Folders that Triton loads: what is declared, and never half of one."""

from google.protobuf import text_format
from headrace_runtime.backends.backend import ModelFiles
from headrace_runtime.backends.triton_repository import Repository, model_config
from headrace_runtime.contract import BatchDimension, Contract, TensorSpec
from tritonclient.grpc import model_config_pb2

ModelConfig = model_config_pb2.ModelConfig  # pyright: ignore[reportAttributeAccessIssue]

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
