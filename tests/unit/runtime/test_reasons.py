"""What backends say is cut down to what people outside may read, and keeps its cause."""

import pytest
from headrace_runtime.backends.backend import ModelError, OutOfMemory
from headrace_runtime.backends.reasons import MAX_CHARS, execution_error, public_reason

STACK = "\n\nAt:\n  /opt/venv/site-packages/onnxruntime/capi/session.py(753): _create\n  /srv/model.py(26): load\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(
            "load failed for model 'bad--v1': version 1 is at UNAVAILABLE state: Internal: InvalidProtobuf: "
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from /srv/state/models/bad--v1/1/model.onnx "
            "failed:Protobuf parsing failed." + STACK,
            "INVALID_PROTOBUF : Load model from model.onnx failed:Protobuf parsing failed.",
            id="a file that is no model, from Triton",
        ),
        pytest.param(
            "[ONNXRuntimeError] : 1 : FAIL : External data path validation failed for initializer: weights. "
            'External data path: "../../etc/passwd" resolved path: "/srv/state/models/etc/passwd"',
            "FAIL : External data path validation failed for initializer: weights. "
            'External data path: "passwd" resolved path: "passwd"',
            id="paths in quotes",
        ),
        pytest.param(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Gather node. "
            "Name:'' Status Message: idx=999 must be within the inclusive range [-8,7]",
            "RUNTIME_EXCEPTION : Non-zero status code returned while running Gather node. "
            "Name:'' Status Message: idx=999 must be within the inclusive range [-8,7]",
            id="an execution",
        ),
        pytest.param("1/2 of and/or 3.5/s", "1/2 of and/or 3.5/s", id="slashes that are no paths"),
        pytest.param("two\nlines", "two lines", id="one line"),
    ],
)
def test_reasons(said: str, told: str):
    assert public_reason(said) == told


def test_what_is_too_long_keeps_what_was_tried_and_why_it_failed():
    told = public_reason("Loading " + "x" * 1000 + ": no such operator: Frobnicate(13)")
    assert len(told) <= MAX_CHARS
    assert told.startswith("Loading x")
    assert told.endswith("no such operator: Frobnicate(13)")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "onnx runtime error 6: Non-zero status code returned while running Mul node. Name:'Mul_8702' Status "
            "Message: /workspace/onnxruntime/onnxruntime/core/framework/bfc_arena.cc:368 void* onnxruntime::BFCArena::"
            "AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 2830172160",
            OutOfMemory,
        ),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", OutOfMemory),
        ("failed to allocate: CUDA_ERROR_OUT_OF_MEMORY", OutOfMemory),
        ("std::bad_alloc", OutOfMemory),
        ("MemoryError: Unable to allocate 1.00 TiB for an array", OutOfMemory),
        ("idx=999 must be within the inclusive range [-8,7]", ModelError),
    ],
)
def test_an_execution_without_memory_is_told_from_one_that_its_inputs_fail(said: str, kind: type[ModelError]):
    assert type(execution_error(said)) is kind
