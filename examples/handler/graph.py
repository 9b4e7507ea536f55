"""The same handler as an ONNX graph, and the weights of both: `python -m examples.handler.graph FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import json_format
from headrace.tensor.v1 import tensor_pb2
from onnx import TensorProto, helper, numpy_helper

USER, ITEM, CONTEXT, TOP = 16, 8, 4, 3
LABELS = ("books", "films", "games", "music", "news", "sport")
_FEATURES = USER + ITEM + CONTEXT


def weights(seed: int = 5) -> dict[str, Any]:
    """Return made-up weights, scales and labels."""
    draw = np.random.default_rng(seed)
    return {
        "mean": draw.normal(size=_FEATURES).round(3).tolist(),
        "scale": draw.uniform(0.5, 2.0, size=_FEATURES).round(3).tolist(),
        "weights": draw.normal(size=(_FEATURES, len(LABELS))).round(3).tolist(),
        "bias": draw.normal(size=len(LABELS)).round(3).tolist(),
        "labels": list(LABELS),
    }


def contract() -> tensor_pb2.ServingContract:
    """Return what callers of either may rely on."""
    made = tensor_pb2.ServingContract(prediction="scores", task=tensor_pb2.ServingContract.TASK_RANKING)
    for name, size in (("user_embedding", USER), ("item_features", ITEM), ("context_features", CONTEXT)):
        made.inputs.add(name=name, datatype="FP32", shape=[size])
    made.outputs.add(name="scores", datatype="FP32", shape=[TOP])
    made.outputs.add(name="labels", datatype="BYTES", shape=[TOP])
    return made


def graph(told: dict[str, Any]) -> onnx.ModelProto:
    """Return the handler as ONNX: concatenate, scale, score, the best three labels."""
    constants = [
        numpy_helper.from_array(np.array(told[name], np.float32), name) for name in ("mean", "scale", "weights", "bias")
    ]
    constants.append(numpy_helper.from_array(np.array([TOP], np.int64), "top"))
    names = np.array([label.encode() for label in told["labels"]], dtype=object)
    constants.append(helper.make_tensor("names", TensorProto.STRING, [len(names)], list(names)))
    nodes = [
        helper.make_node("Concat", ["user_embedding", "item_features", "context_features"], ["features"], axis=1),
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["all_scores"]),
        helper.make_node("TopK", ["all_scores", "top"], ["scores", "best"], axis=1),
        helper.make_node("Gather", ["names", "best"], ["labels"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])
        for name, size in (("user_embedding", USER), ("item_features", ITEM), ("context_features", CONTEXT))
    ]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", TOP]),
        helper.make_tensor_value_info("labels", TensorProto.STRING, ["rows", TOP]),
    ]
    made = helper.make_graph(nodes, "handler", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def main() -> None:
    """Write model.onnx, weights.json and contract.json into a folder."""
    folder, told = Path(sys.argv[1]), weights()
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(told), folder / "model.onnx")
    (folder / "weights.json").write_text(json.dumps(told) + "\n")
    (folder / "contract.json").write_text(json_format.MessageToJson(contract(), preserving_proto_field_name=True))


if __name__ == "__main__":
    main()
