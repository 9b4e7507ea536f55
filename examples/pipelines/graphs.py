"""Steps before and after a model, as small ONNX graphs: copy what you need, change the numbers.

python -m examples.pipelines.graphs FOLDER

writes normalise.onnx (numbers), vocabulary.onnx (words to numbers), one-hot.onnx (numbers to columns), top-labels.onnx
(scores to the best labels). `pipeline.yaml` names such files; every batcher runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# What every ONNX Runtime of the last years reads, Triton's included.
_OPSET, _ML_OPSET, _IR_VERSION = 17, 3, 8

Port = tuple[str, int, Sequence[int]]
"""Name, element type and shape of one row."""


def normalise(columns: int, *, mean: float = 0.0, scale: float = 15.0, element: int = TensorProto.UINT8) -> bytes:
    """`image` [columns] → `normalised` FP32 [columns], (image - mean) / scale: 0 to 240 become 0 to 16."""
    return _file(
        [
            helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["numbers", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["normalised"]),
        ],
        [("image", element, [columns])],
        [("normalised", TensorProto.FLOAT, [columns])],
        {"mean": np.array([mean], np.float32), "scale": np.array([scale], np.float32)},
    )


def vocabulary(words: Sequence[str]) -> bytes:
    """`word` BYTES → `number` INT64, its place from 1; 0 for words that are not known."""
    known = {"keys_strings": list(words), "values_int64s": list(range(1, len(words) + 1)), "default_int64": 0}
    return _file(
        [helper.make_node("LabelEncoder", ["word"], ["number"], domain="ai.onnx.ml", **known)],
        [("word", TensorProto.STRING, [])],
        [("number", TensorProto.INT64, [])],
    )


def one_hot(sizes: int) -> bytes:
    """`number` INT64, 0 to sizes - 1 → `columns` FP32 [sizes], 1 at that place; beyond it, and below, all are 0."""
    return _file(
        [
            helper.make_node("Unsqueeze", ["number", "axis"], ["column"]),
            helper.make_node("Equal", ["column", "places"], ["here"]),
            helper.make_node("Cast", ["here"], ["columns"], to=TensorProto.FLOAT),
        ],
        [("number", TensorProto.INT64, [])],
        [("columns", TensorProto.FLOAT, [sizes])],
        {"axis": np.array([1], np.int64), "places": np.arange(sizes, dtype=np.int64)},
    )


def top_labels(labels: Sequence[str], best: int = 3) -> bytes:
    """`scores` FP32 [labels] → `labels` BYTES [best] and `best_scores` FP32 [best], the highest first."""
    return _file(
        [
            helper.make_node("TopK", ["scores", "best"], ["best_scores", "places"], axis=1),
            helper.make_node("Gather", ["names", "places"], ["labels"]),
        ],
        [("scores", TensorProto.FLOAT, [len(labels)])],
        [("labels", TensorProto.STRING, [best]), ("best_scores", TensorProto.FLOAT, [best])],
        {"best": np.array([best], np.int64), "names": np.array(labels, object)},
    )


def _file(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    constants: dict[str, Any] | None = None,
) -> bytes:
    """Return the bytes of a graph; the first dimension of every tensor is that of rows."""
    graph = helper.make_graph(
        list(nodes),
        "step",
        [helper.make_tensor_value_info(name, element, ["rows", *row]) for name, element, row in inputs],
        [helper.make_tensor_value_info(name, element, ["rows", *row]) for name, element, row in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    domains = {"": _OPSET} | ({"ai.onnx.ml": _ML_OPSET} if any(node.domain for node in nodes) else {})
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION, producer_name="examples.pipelines")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def write(folder: Path) -> list[Path]:
    """Write the graphs as the digits, and a word among four, need them."""
    files = {
        "normalise.onnx": normalise(64),
        "vocabulary.onnx": vocabulary(["red", "green", "blue"]),
        "one-hot.onnx": one_hot(4),
        "top-labels.onnx": top_labels([str(digit) for digit in range(10)]),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        print(written)
