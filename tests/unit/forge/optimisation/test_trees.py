"""Pruned ensembles: half of the trees are left, those that decide most, and answers stay near the original's."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_forge.optimisation import process, trees
from headrace_forge.optimisation.process import Plan, Rows
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

IRIS, LABELS = (np.array(one) for one in load_iris(return_X_y=True))
DIABETES, PROGRESS = (np.array(one) for one in load_diabetes(return_X_y=True))
TREES = 20


def converted(fitted: Any, rows: np.ndarray) -> onnx.ModelProto:
    options = {id(fitted): {"zipmap": False}} if hasattr(fitted, "classes_") else None
    made: Any = to_onnx(fitted, rows[:1].astype(np.float32), options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    return made


def answers(model: onnx.ModelProto, rows: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made: Any = session.run(None, {session.get_inputs()[0].name: rows.astype(np.float32)})
    return made


def pruned(fitted: Any, rows: np.ndarray) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    model = converted(fitted, rows)
    made = trees.pruned(model, lambda one: answers(one, rows))
    assert made is not None
    onnx.checker.check_model(made)
    return model, made


def trees_of(model: onnx.ModelProto) -> list[int]:
    return [len(trees.Ensemble(node).trees) for node in trees.of_trees(model)]


def test_a_forest_is_the_mean_of_the_trees_that_stay():
    forest = RandomForestRegressor(n_estimators=TREES, max_depth=4, random_state=0).fit(DIABETES, PROGRESS)
    model, made = pruned(forest, DIABETES)
    (node,) = trees.of_trees(model)
    kept = trees.Ensemble(node).kept()
    assert trees_of(made) == [TREES // 2]
    expected = np.mean([forest.estimators_[tree].predict(DIABETES.astype(np.float32)) for tree in kept], axis=0)
    np.testing.assert_allclose(answers(made, DIABETES)[0].ravel(), expected, rtol=1e-3)


def test_probabilities_of_a_forest_still_add_up_and_its_classes_hardly_change():
    forest = RandomForestClassifier(n_estimators=TREES, max_depth=4, random_state=0).fit(IRIS, LABELS)
    _, made = pruned(forest, IRIS)
    labels, probabilities = answers(made, IRIS)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert np.mean(labels == forest.predict(IRIS)) > 0.95


@pytest.mark.parametrize("loss", ["regression", "classification"])
def test_a_boosted_sum_keeps_what_the_others_answer_on_average(loss: str):
    if loss == "regression":
        rows, fitted = DIABETES, GradientBoostingRegressor(n_estimators=TREES, random_state=0).fit(DIABETES, PROGRESS)
    else:
        rows, fitted = IRIS, GradientBoostingClassifier(n_estimators=TREES, random_state=0).fit(IRIS, LABELS)
    model, made = pruned(fitted, rows)
    assert trees_of(made) == [count // 2 for count in trees_of(model)]
    before, after = answers(model, rows)[-1], answers(made, rows)[-1]
    if loss == "regression":
        assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.98
        assert abs(float(before.mean() - after.mean())) < 0.05 * float(before.mean())
    else:
        assert np.mean(before.argmax(axis=1) == after.argmax(axis=1)) > 0.95


def test_few_trees_and_other_models_are_left_alone():
    few = converted(RandomForestRegressor(n_estimators=3, max_depth=2).fit(DIABETES, PROGRESS), DIABETES)
    assert trees.pruned(few, lambda one: answers(one, DIABETES)) is None
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "none",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])],
    )
    assert trees.of_trees(helper.make_model(graph)) == []


def test_it_is_a_candidate_that_is_measured_like_any_other(tmp_path: Path):
    forest = RandomForestClassifier(n_estimators=TREES, max_depth=5, random_state=0).fit(IRIS, LABELS)
    (tmp_path / "model.onnx").write_bytes(converted(forest, IRIS).SerializeToString())
    name = onnx.load(str(tmp_path / "model.onnx")).graph.input[0].name
    contract = tensor_pb2.ServingContract(
        inputs=[tensor_pb2.TensorSpec(name=name, datatype="FP32", shape=[4])],
        prediction="probabilities",
        task=tensor_pb2.ServingContract.TASK_CLASSIFICATION,
    )
    rows = Rows({name: IRIS.tolist()}, LABELS.tolist())
    plan = Plan(("trees-half", "int8-dynamic"), (8,), rounds=3, series_s=0.002, executions=5)
    (tmp_path / "made").mkdir()
    measured = process.measure(
        tmp_path / "model.onnx", contract, tmp_path / "made", rows=rows, plan=plan, python=sys.executable
    )
    found = {one.name: one for one in measured.candidates}
    assert found["int8-dynamic"].problem == "has no matrix product or convolution to quantise"
    half = found["trees-half"]
    assert (half.problem, half.is_model) == ("", True)
    assert half.size_bytes < 0.65 * measured.original.size_bytes
    assert half.quality is not None
    assert half.quality.accuracy > 0.9
