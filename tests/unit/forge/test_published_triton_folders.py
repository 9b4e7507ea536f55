"""Configurations as Triton's own examples and its backends' documents have them, read into our settings.

All 500 that lie in the repositories of Triton's server, its tutorials, its backends and Model Analyzer were read once;
here is one of each kind that was found, in our words.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_client.operations.registration import Serving
from headrace_forge.triton_folders import TritonModel, read_triton

ONE, NONE = tensor_pb2.TensorSpec.BATCH_DIMENSION_ONE, tensor_pb2.TensorSpec.BATCH_DIMENSION_NONE
FILES = ("model.onnx", "model.pt", "model.plan", "model.py", "xgboost.json", "model.savedmodel/saved_model.pb")


def imported(folder: Path, config: str, *files: str) -> TritonModel:
    """Read a configuration with files of version 1 beside it."""
    for name in files:
        path = folder / "m" / "1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (folder / "m" / "config.pbtxt").write_text(config)
    return read_triton(folder / "m", folder)


def tensors(found: TritonModel) -> list[tuple[str, str, list[int], int]]:
    assert found.contract is not None
    specs = (*found.contract.inputs, *found.contract.outputs)
    return [(one.name, one.datatype, list(one.shape), one.batch_dimension) for one in specs]


PUBLISHED = [
    pytest.param(
        """platform: "pytorch_libtorch" max_batch_size : 128
        input { name: "INPUT__0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 24, 24 ] }
        output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" }""",
        ("torchscript", Serving(128)),
        [("INPUT__0", "FP32", [3, 24, 24], 0), ("OUTPUT__0", "FP32", [10], 0)],
        ["input INPUT__0: format", "output OUTPUT__0: label_filename"],
        id="TorchScript in batches",
    ),
    pytest.param(
        """platform: "pytorch_libtorch" max_batch_size: 0
        input [ { name: "input__0" data_type: TYPE_FP32 dims: [ 3, 24, 24 ] reshape { shape: [ 1, 3, 24, 24 ] } } ]
        output [ { name: "output__0" data_type: TYPE_FP32 dims: [ 1, 10, 1, 1] reshape { shape: [ 1, 10 ] } } ]""",
        ("torchscript", Serving()),
        [("input__0", "FP32", [3, 24, 24], ONE), ("output__0", "FP32", [10], ONE)],
        [],
        id="TorchScript of one image, with shapes that the model takes",
    ),
    pytest.param(
        """platform: "tensorflow_savedmodel" max_batch_size : 0
        input [ { name: "input_1" data_type: TYPE_FP32 dims: [-1, 24, 24, 3 ] } ]
        output [ { name: "predictions" data_type: TYPE_FP32 dims: [-1, 10] } ]""",
        ("savedmodel", Serving()),
        [("input_1", "FP32", [24, 24, 3], 0), ("predictions", "FP32", [10], 0)],
        [],
        id="SavedModel whose rows are a dimension like others",
    ),
    pytest.param(
        """platform: "tensorrt_plan" max_batch_size: 4
        input [ { name: "ids" data_type: TYPE_INT32 dims: [-1] }, { name: "mask" data_type: TYPE_BOOL dims: [-1] } ]
        output [ { name: "logits" data_type: TYPE_FP16 dims: [ -1, 2 ] } ]
        dynamic_batching { preferred_batch_size: 4 max_queue_delay_microseconds: 200000 }
        instance_group { count: 2 profile: "1" kind: KIND_GPU gpus: [ 0, 1 ] }""",
        ("tensorrt", Serving(4, (4,), timedelta(milliseconds=200), 2, "gpu")),
        [("ids", "INT32", [-1], 0), ("mask", "BOOL", [-1], 0), ("logits", "FP16", [-1, 2], 0)],
        ["instance_group: gpus", "instance_group: profile"],
        id="TensorRT with a profile on GPUs",
    ),
    pytest.param(
        """backend: "fil" max_batch_size: 6329
        input [ { name: "input__0" data_type: TYPE_FP32 dims: [ 39 ] } ]
        output [ { name: "output__0" data_type: TYPE_FP32 dims: [ 2 ] } ]
        instance_group [{ kind: KIND_CPU }]
        parameters [
          { key: "model_type" value: { string_value: "xgboost_json" } },
          { key: "predict_proba" value: { string_value: "true" } },
          { key: "is_classifier" value: { string_value: "true" } },
          { key: "threshold" value: { string_value: "0.5" } },
          { key: "layout" value: { string_value: "depth_first" } }
        ]
        dynamic_batching { }""",
        ("fil", Serving(4096, (), None, 1, "cpu")),
        [("input__0", "FP32", [39], 0), ("output__0", "FP32", [2], 0)],
        ["max_batch_size 6329: 4096 is the most", "parameter layout", "parameter threshold"],
        id="trees, with more rows than are taken",
    ),
    pytest.param(
        """backend: "onnxruntime" max_batch_size : 16
        dynamic_batching { preferred_batch_size: [ 8, 4, 8 ] max_queue_delay_microseconds: 2000000
          priority_levels: 2 default_priority_level: 1 }
        model_warmup { name: "zeros" batch_size: 16 inputs: { key: "x" value: { zero_data: true } } }
        optimization { graph : { level : 1 } execution_accelerators { gpu_execution_accelerator : [
          { name : "tensorrt" parameters { key: "precision_mode" value: "FP16" } } ] } }""",
        ("onnx", Serving(16, (4, 8), timedelta(seconds=1))),
        None,
        [
            "dynamic_batching.default_priority_level",
            "dynamic_batching.priority_levels",
            "max_queue_delay_microseconds 2000000: 1 s is the most",
            "model_warmup",
            "optimization",
        ],
        id="ONNX with an accelerator, a warm-up and priorities",
    ),
    pytest.param(
        "max_batch_size: 8 instance_group { count: 2 kind: KIND_CPU }",
        ("onnx", Serving(8, (), None, 2, "cpu")),
        None,
        [],
        id="without a backend: the files say it",
    ),
    pytest.param("", ("onnx", Serving()), None, [], id="nothing: the files say all"),
    pytest.param(
        """backend: "python" max_batch_size: 8 default_model_filename: "model.py"
        input [ { name: "image" data_type: TYPE_STRING dims: [ 1 ] } ]
        output [ { name: "last_hidden_state" data_type: TYPE_FP32 dims: [-1, -1] } ]
        parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value: { string_value: "no" } }
        model_transaction_policy { decoupled: false }""",
        ("python", Serving(8)),
        [("image", "BYTES", [1], 0), ("last_hidden_state", "FP32", [-1, -1], 0)],
        ["parameter FORCE_CPU_ONLY_INPUT_TENSORS"],
        id="code that says it is not decoupled",
    ),
    pytest.param(
        """platform: "tensorrt_plan" max_batch_size: 0
        input [ { name: "image" data_type: TYPE_UINT8 dims: [ 540, 960, 3 ] } ]
        output [ { name: "boxes" data_type: TYPE_FP32 dims: [ 100, 4 ] } ]""",
        ("tensorrt", Serving()),
        [("image", "UINT8", [540, 960, 3], NONE), ("boxes", "FP32", [100, 4], NONE)],
        [],
        id="one image, without a dimension for rows",
    ),
]


@pytest.mark.parametrize(("config", "kept", "declared", "dropped"), PUBLISHED)
def test_a_published_configuration_is_read_and_what_is_dropped_is_named(
    tmp_path: Path, config: str, kept: tuple[str, Serving], declared, dropped: list[str]
) -> None:
    files = [name for name in FILES if kept[0] != "python" or name == "model.py"]
    found = imported(tmp_path, config, *files)
    assert (found.model.kept_as, found.serving) == kept
    assert found.contract is None if declared is None else tensors(found) == declared
    assert sorted(found.dropped) == dropped


@pytest.mark.parametrize(
    ("config", "why"),
    [
        pytest.param(
            'backend: "onnxruntime" sequence_batching { max_sequence_idle_microseconds: 5000000 control_input [ '
            '{ name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ] }',
            "keeps state from one request of a caller to the next",
            id="a model with state",
        ),
        pytest.param(
            'backend: "onnxruntime" model_transaction_policy { decoupled: True }',
            "answers in parts .decoupled., which no pool does for onnx",
            id="decoupled, of a backend that answers once",
        ),
        pytest.param(
            'backend: "tensorrt" batch_input [ { kind: BATCH_ELEMENT_COUNT target_name: "n" source_input: "x" } ]',
            "takes inputs that Triton makes of a batch",
            id="ragged batches",
        ),
        pytest.param(
            'backend: "fil" parameters { key: "output_class" value { string_value: "true" } }',
            "answers the number of a class",
            id="trees that answer a class",
        ),
        pytest.param('platform: "tensorflow_graphdef"', "has the backend 'tensorflow_graphdef'", id="a frozen graph"),
        pytest.param('backend: "vllm"', "has the backend 'vllm', which no pool runs", id="language models"),
        pytest.param("version_policy { specific { versions: [ 3 ] } }", "which version_policy serves", id="version"),
    ],
)
def test_what_would_answer_otherwise_here_is_refused(tmp_path: Path, config: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        imported(tmp_path, config, *FILES)


def test_a_folder_without_a_backend_and_a_known_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="names no backend, nor does a file tell it"):
        imported(tmp_path, "max_batch_size: 4", "weights.bin")


def test_the_newest_version_that_the_policy_serves_is_taken(tmp_path: Path) -> None:
    (tmp_path / "m" / "7").mkdir(parents=True)
    (tmp_path / "m" / "7" / "model.onnx").write_text("x")
    found = imported(tmp_path, "version_policy { specific { versions: [ 1 ] } }", "model.onnx")
    assert (found.version, list(found.dropped)) == (
        "1",
        ["versions 7: 1 is imported; import the others from folders of their own"],
    )


def test_code_that_is_decoupled_answers_in_parts_here_too(tmp_path: Path) -> None:
    # The square model of Triton's Python backend.
    config = """backend: "python" max_batch_size: 0 model_transaction_policy { decoupled: True }
    input [ { name: "IN" data_type: TYPE_INT32 dims: [ 1 ] } ]
    output [ { name: "OUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
    instance_group [ { kind: KIND_CPU } ]"""
    found = imported(tmp_path, config, "model.py")
    assert found.contract is not None
    assert found.contract.decoupled
    assert list(found.dropped) == []
