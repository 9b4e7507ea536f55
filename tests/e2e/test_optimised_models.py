"""A version becomes a smaller and faster one: measured, registered only because it passed, and it answers."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.kit.clients.headrace_cli import Headrace

FEATURES, WIDTH, CLASSES = 64, 512, 4


def perceptron(folder: Path) -> tuple[str, str]:
    """Write a network of two layers and its validation rows; return both paths."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=size).astype(np.float32) / 8 for size in ((FEATURES, WIDTH), (WIDTH, CLASSES))]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "w1"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", FEATURES])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", CLASSES])],
        [numpy_helper.from_array(values, f"w{at}") for at, values in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rows = random.normal(size=(400, FEATURES)).astype(np.float32).round(3)
    hidden = np.maximum(rows @ weights[0], 0) @ weights[1]
    validation = {"inputs": {"x": rows.tolist()}, "labels": np.argmax(hidden, axis=1).tolist()}
    (folder / "validation.json").write_text(json.dumps(validation))
    return str(folder / "model.onnx"), str(folder / "validation.json")


@pytest.mark.long
def test_an_int8_version_is_registered_because_it_passed_and_answers_like_the_original(headrace: Headrace) -> None:
    file, validation = perceptron(headrace.folder)
    picture = headrace.folder / "picture.svg"
    words = ("--metric", "accuracy=1", "--metric", "latency_p99_ms=5", "--artifact", f"validation.json={validation}")
    headrace("models", "register", headrace.model, "v1", file, "--task", "classification", *words)
    quick = ("--rounds", "3", "--candidate", "int8-dynamic", "--candidate", "fp16", "--batch-rows", "1")
    # How fast this machine is today says nothing of the command.
    easy = ("--min-speedup", "0.01", "--max-accuracy-drop", "0.05", "--max-size-ratio", "0.4")

    strict = headrace("models", "optimise", f"{headrace.model}@v1", *quick, "--min-speedup", "1000")
    assert (strict["optimisation"]["winner"], strict["registered"]) == (None, None)

    done = headrace("models", "optimise", f"{headrace.model}@v1", *quick, *easy, "--picture", str(picture))
    new = done["registered"]
    assert new["name"].endswith("/versions/v1-int8-dynamic")
    assert new["lineage"]["parent_version"] == "v1"
    assert {one["name"] for one in new["artifacts"]} == {"model.onnx", "validation.json", "optimisation.json"}
    metrics = {one["name"]: one["value"] for one in new["metrics"]}
    assert metrics["accuracy"] >= 0.95
    assert metrics["optimised_size_ratio"] < 0.4
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")

    headrace("models", "promote", headrace.model, "v1-int8-dynamic")
    rows = json.loads(Path(validation).read_text())
    answer = headrace("predict", headrace.model, "--rows", json.dumps(rows["inputs"]["x"][:8]))
    classes = np.argmax(np.array(answer["outputs"]["probabilities"]), axis=1)
    assert np.sum(classes == np.array(rows["labels"][:8])) >= 7
