"""Candidates of a real model, made and measured in their own process: each can be loaded again and answers as it was
judged. What the specification's optimiser lacked: its INT8 models could not be loaded, and nothing was compared."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_forge.optimisation import choice, process, report
from headrace_forge.optimisation.choice import Budgets
from headrace_forge.optimisation.process import Measured, Plan, Rows
from onnx import TensorProto, helper, numpy_helper

FEATURES, WIDTH, CLASSES, ROWS = 32, 256, 5, 200
QUICK = {"batch_rows": (1, 8), "rounds": 3, "series_s": 0.002, "executions": 5}
CONTRACT = tensor_pb2.ServingContract(
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[FEATURES])],
    prediction="probabilities",
    task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
)


def perceptron() -> bytes:
    """Return a network of two layers, opset 15, with weights that INT8 changes a little."""
    random = np.random.default_rng(0)
    first = random.normal(size=(FEATURES, WIDTH)).astype(np.float32) / 4
    second = random.normal(size=(WIDTH, CLASSES)).astype(np.float32) / 8
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "w2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def rows() -> Rows:
    values = np.random.default_rng(1).normal(size=(ROWS, FEATURES)).astype(np.float32)
    return Rows({"x": values.tolist()}, None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, rows: Rows) -> tuple[Path, Measured]:
    folder = tmp_path_factory.mktemp("candidates")
    source = tmp_path_factory.mktemp("source") / "model.onnx"
    source.write_bytes(perceptron())
    measured = process.measure(source, CONTRACT, folder, rows=rows, plan=Plan(**QUICK), python=sys.executable)
    return folder, measured


def test_every_candidate_is_made_or_says_why_not(made: tuple[Path, Measured]) -> None:
    _, measured = made
    problems = {one.name: one.problem for one in measured.candidates if one.problem}
    assert problems == {"trees-half": "has no trees to prune"}
    assert [one.name for one in measured.candidates] == [*process.MODELS, *process.OPTIONS]
    assert measured.judged_rows == ROWS - ROWS // 4  # those that it was calibrated with do not judge it


def test_every_file_can_be_loaded_again_and_answers_as_it_was_judged(made: tuple[Path, Measured], rows: Rows) -> None:
    folder, measured = made
    judged = np.array(process.parted(rows)[1].inputs["x"], np.float32)
    # In batches as it was judged: dynamic INT8 scales a batch as a whole.
    batches = [batch for size in (1, 8) for batch in np.split(judged, range(size, len(judged), size))]

    def answers(model: bytes) -> np.ndarray:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        assert np.asarray(session.run(None, {"x": np.array(rows.inputs["x"], np.float32)})[0]).shape == (ROWS, CLASSES)
        return np.concatenate([np.asarray(session.run(None, {"x": batch})[0]) for batch in batches])

    original = answers(perceptron())
    qualities = {one.name: one.quality for one in measured.candidates}
    for name in process.MODELS:
        if name == "trees-half":
            continue
        content = (folder / f"{name}.onnx").read_bytes()
        onnx.checker.check_model(content)
        difference = float(np.max(np.abs(answers(content) - original)))
        quality = qualities[name]
        assert quality is not None, name
        assert quality.largest_difference == pytest.approx(difference, abs=1e-3), name


def test_int8_is_a_quarter_of_the_size_and_its_difference_is_told(made: tuple[Path, Measured]) -> None:
    _, measured = made
    for name in ("int8-dynamic", "int8-static-minmax", "int8-static-entropy"):
        found = next(one for one in measured.candidates if one.name == name)
        assert found.quality is not None
        assert found.size_bytes < 0.4 * measured.original.size_bytes
        assert 0 < found.quality.largest_difference < 0.3
        assert found.quality.accuracy > 0.8


def test_the_tables_are_json_and_name_the_winner(made: tuple[Path, Measured]) -> None:
    _, measured = made
    budgets = Budgets(max_accuracy_drop=0.2, min_speedup=0.01)
    document = report.document("m", "v1", measured, budgets)
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["winner"] in process.MODELS
    assert {(one["candidate"], one["batch_rows"]) for one in again["speed"]} >= {("int8-dynamic", 1), ("original", 8)}
    chosen = choice.winner(measured.candidates, measured.original, budgets)
    assert chosen is not None
    metrics = report.metrics_of(chosen, measured, {"accuracy": 0.9})
    assert chosen.quality is not None
    # Nobody knows the truth of these rows: no more than the parent's accuracy less what is answered otherwise.
    assert metrics["accuracy"] == pytest.approx(0.9 - (1 - chosen.quality.accuracy))


def test_none_good_enough_is_no_winner(made: tuple[Path, Measured]) -> None:
    _, measured = made
    assert report.document("m", "v1", measured, Budgets(min_speedup=1000.0))["winner"] is None


def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = tmp_path / "source.onnx"
    source.write_bytes(b"no model" * 100)
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(InvalidArgument, match="is not measured"):
        process.measure(source, CONTRACT, folder, plan=Plan(("fp16",), **QUICK), python=sys.executable)


EXPORTED = Path(__file__).parents[3] / "golden" / "exported"


def measured_of(exported: str, tmp_path: Path, contract: tensor_pb2.ServingContract | None = None) -> Measured:
    folder = tmp_path / "work"
    folder.mkdir()
    plan = Plan(("graph-basic", "int8-dynamic", "fp16"), **QUICK)
    contract = contract or tensor_pb2.ServingContract()
    return process.measure(EXPORTED / exported, contract, folder, plan=plan, python=sys.executable)


@pytest.mark.parametrize("exported", ["lightgbm-classifier.onnx", "xgboost-one-row.onnx"])
def test_real_trees_have_nothing_to_quantise_and_say_so(exported: str, tmp_path: Path) -> None:
    found = {one.name: one for one in measured_of(exported, tmp_path).candidates}
    assert found["graph-basic"].problem == ""
    assert found["int8-dynamic"].problem == "has no matrix product or convolution to quantise"


def test_a_real_file_without_a_dimension_for_rows_is_refused_by_the_inputs_name(tmp_path: Path) -> None:
    contract = tensor_pb2.ServingContract()
    contract.inputs.add(
        name="v", datatype="FP32", shape=[3], batch_dimension=tensor_pb2.TensorSpec.BATCH_DIMENSION_NONE
    )
    with pytest.raises(InvalidArgument, match="input 'v' has no dimension for rows"):
        measured_of("pytorch-vector.onnx", tmp_path, contract)


def test_a_model_that_fails_on_the_rows_says_what_its_runtime_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="itself does not run: "):
        measured_of("pytorch-vector.onnx", tmp_path)


def test_a_python_without_the_packages_says_what_to_install(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    os.chmod(bare, 0o755)
    source = tmp_path / "source.onnx"
    source.write_bytes(perceptron())
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(InvalidArgument, match="pip install onnx onnxruntime"):
        process.measure(source, CONTRACT, folder, plan=Plan(("fp16",), **QUICK), python=str(bare))
