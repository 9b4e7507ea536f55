"""Folders that Triton loads: what is declared, and never half of one."""

from headrace_runtime.backends.backend import ModelFiles
from headrace_runtime.backends.triton_repository import Repository, model_config
from headrace_runtime.contract import Contract, TensorSpec

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
