"""What is read from ONNX files, and what is refused, also when the file is hostile."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import uvloop
from headrace_registry.artifacts import onnx_check, trial
from headrace_registry.artifacts.content import OnnxProcess
from headrace_registry.artifacts.refusals import RefusedError
from headrace_registry.decisions.files import ModelPort
from headrace_servicekit.testing import eventually
from onnx import TensorProto, helper

from tests.kit.hostile import slow_models, unservable_models
from tests.kit.hostile.unloadable_model import unloadable
from tests.kit.models import onnx_models


@pytest.fixture
def read(tmp_path):
    def read(content: bytes):
        path = tmp_path / "file"
        path.write_bytes(content)
        return onnx_check.read(str(path))

    return read


def test_inputs_and_outputs_are_read_with_their_shapes(read):
    file = read(onnx_models.two_inputs_two_outputs().content)
    assert [(port.name, port.datatype, port.shape) for port in file.inputs] == [
        ("a", "FP32", (None, 3)),
        ("b", "FP32", (None, 3)),
    ]
    assert [(port.name, port.datatype, port.shape) for port in file.outputs] == [
        ("sum", "FP32", (None, 3)),
        ("dot", "FP32", (None,)),
    ]


@pytest.mark.parametrize(
    ("element", "datatype"),
    [
        (TensorProto.FLOAT, "FP32"),
        (TensorProto.DOUBLE, "FP64"),
        (TensorProto.FLOAT16, "FP16"),
        (TensorProto.INT64, "INT64"),
        (TensorProto.INT32, "INT32"),
        (TensorProto.BOOL, "BOOL"),
        (TensorProto.STRING, "BYTES"),
    ],
)
def test_element_types_have_their_names_of_the_open_inference_protocol(read, element, datatype):
    assert read(onnx_models.identity(2, element=element).content).inputs[0].datatype == datatype


def test_a_fixed_number_of_rows_is_read_as_it_is(read):
    assert read(unservable_models.fixed_rows(4, rows=1).content).inputs[0].shape == (1, 4)


def test_an_input_with_a_default_is_not_required(read):
    model = onnx.load_from_string(onnx_models.linear(2, 2).content)
    model.graph.input.append(helper.make_tensor_value_info("bias", TensorProto.FLOAT, [2]))
    ports = {port.name: port for port in read(model.SerializeToString()).inputs}
    assert (ports["features"].required, ports["bias"].required) == (True, False)


def test_an_output_that_is_no_tensor_is_read_as_such(read):
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x"], ["s"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_value_info("s", helper.make_sequence_type_proto(element))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    port = read(model.SerializeToString()).outputs[0]
    assert (port.datatype, port.shape) == ("", None)
    assert "sequence" in port.declared
    assert "zipmap" in port.declared


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"hello", "not a ModelProto", id="text"),
        pytest.param(b"\x08\x08", "no graph", id="a message without a graph"),
        pytest.param(onnx_models.linear().content[:-20], "not a ModelProto", id="cut"),
        pytest.param(unservable_models.external_data().content, "another file", id="external data"),
    ],
)
def test_what_is_no_servable_model_is_refused(read, content, why):
    with pytest.raises(RefusedError, match=why):
        read(content)


def test_external_data_is_found_inside_subgraphs(read):
    model = onnx.load_from_string(onnx_models.slow(2).content)
    body = next(attribute.g for node in model.graph.node for attribute in node.attribute if attribute.HasField("g"))
    tensor = body.initializer.add(name="hidden", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(RefusedError, match="hidden"):
        read(model.SerializeToString())


@pytest.mark.parametrize("of_input", [True, False])
def test_a_name_that_no_database_takes_is_refused(read, of_input):
    with pytest.raises(RefusedError, match="zero byte"):
        read(unservable_models.zero_byte_in_a_name(of_input=of_input).content)


def test_an_operator_that_does_not_exist_is_refused(read):
    graph = helper.make_graph(
        [helper.make_node("Frobnicate", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(RefusedError, match="Frobnicate"):
        read(model.SerializeToString())


async def test_a_child_process_reads_what_this_process_reads(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(onnx_models.classifier().content)
    file = await OnnxProcess(timeout_s=60)(path, path.stat().st_size)
    assert file == onnx_check.read(str(path))
    assert file.inputs[0] == ModelPort("features", "FP32", "a tensor of element type 1", (None, 4))


async def test_a_child_process_that_refuses_says_why(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"hello")
    with pytest.raises(RefusedError, match="ModelProto"):
        await OnnxProcess(timeout_s=60)(path, 5)


async def test_a_child_process_that_takes_too_long_is_ended(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(onnx_models.linear().content)
    with pytest.raises(RefusedError, match=r"within 0\.01 s"):
        await OnnxProcess(timeout_s=0.01)(path, 1)


async def test_a_file_that_is_valid_and_never_loaded_is_refused_before_it_reaches_a_batcher(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(slow_models.billion_laughs().content)
    with pytest.raises(RefusedError, match="nodes once its functions are expanded"):
        await OnnxProcess(timeout_s=60)(path, 1)


def test_what_no_graph_check_sees_ends_at_the_limit_of_its_processor_time(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(slow_models.billion_laughs().content)
    body = (
        "from headrace_registry.artifacts import trial; from headrace_registry.decisions.models import Contract; "
        f"trial.CPU_S = 0.5; trial.load({str(path)!r}, Contract())"
    )
    assert subprocess.run([sys.executable, "-c", body], timeout=60, check=False).returncode == -signal.SIGXCPU


async def test_a_check_that_the_kernel_ended_says_that_loading_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace_registry.artifacts.content.run_confined", ended_at_its_limit)
    with pytest.raises(RefusedError, match="30 s of a processor to load"):
        await OnnxProcess(timeout_s=60)(tmp_path, 1)


async def ended_at_its_limit(*_arguments, **_bounds) -> tuple[int, bytes]:
    return -signal.SIGXCPU, b""


def test_a_model_that_the_registrys_own_runtime_cannot_load_is_taken_and_its_reason_kept(read, tmp_path):
    file = read(unloadable(tmp_path).read_bytes())
    assert file.inputs[0].name == "features"
    assert file.trial is not None
    assert file.trial.problem.startswith("it cannot be loaded: ")
    assert "com.example" in file.trial.problem


def test_the_budget_of_a_load_ends_with_it(tmp_path):
    # Else a process that checks a file and goes on is ended by the kernel half a minute of its own work later.
    before = resource.getrlimit(resource.RLIMIT_CPU)
    path = tmp_path / "model"
    path.write_bytes(onnx_models.linear().content)
    with trial.budget():
        assert resource.getrlimit(resource.RLIMIT_CPU) != before
    for content in (path, unloadable(tmp_path)):
        onnx_check.read(str(content))
    assert resource.getrlimit(resource.RLIMIT_CPU) == before


async def test_a_cancelled_check_leaves_no_process(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(onnx_models.linear().content)
    check = asyncio.create_task(OnnxProcess(timeout_s=60)(path, 1))
    await eventually(lambda: processes_about(path))
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert not processes_about(path)


def processes_about(path: Path) -> list[str]:
    """Return the processes that name the file."""
    return [process.name for process in Path("/proc").glob("[0-9]*") if bytes(path) in command_of(process)]


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


async def test_a_file_that_needs_too_much_memory_takes_only_the_child_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace_registry.artifacts.content.CHECK_MEMORY_BYTES", 64 * 1024 * 1024)
    path = tmp_path / "model"
    path.write_bytes(onnx_models.linear().content)
    with pytest.raises(RefusedError, match=r"parser stopped|too much memory"):
        await OnnxProcess(timeout_s=60)(path, 1)


def test_nothing_of_the_service_is_forked_into_the_check(tmp_path):
    forks: list[int] = []
    os.register_at_fork(before=lambda: forks.append(os.getpid()))
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.linear().content)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        file = runner.run(OnnxProcess(timeout_s=60)(path, path.stat().st_size))
    assert [port.name for port in file.inputs] == ["features"]
    assert forks == []
