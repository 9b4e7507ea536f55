"""A price list as a model, in five versions: the present one, a better one, and three that should not stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# What callers ask for.
ENTRIES = 8
_ROUNDS, _SIZE = 200, 256


@dataclass(frozen=True, slots=True)
class Version:
    """One version. about: what it is, for people."""

    name: str
    about: str
    model: onnx.ModelProto

    def written(self, folder: Path) -> Path:
        """Write the model file and return its path."""
        path = folder / f"{self.name}.onnx"
        path.write_bytes(self.model.SerializeToString(deterministic=True))
        return path


def versions() -> tuple[Version, ...]:
    """Return the present version, then those that are rolled out."""
    prices = np.arange(ENTRIES, dtype=np.float32) * 10
    garbage = np.where(np.arange(ENTRIES) < 2, prices, np.nan).astype(np.float32)
    return (
        Version("v1", "the present prices", look_up(prices)),
        Version("errors", "knows two of eight entries, and fails on the others", look_up(prices[:2])),
        Version("garbage", "answers NaN for six of eight entries", look_up(garbage)),
        Version("slow", "computes for tens of milliseconds what takes microseconds", _slowly(prices)),
        Version("v2", "new prices, and nothing wrong with them", look_up(prices * np.float32(1.1))),
    )


def look_up(values: np.ndarray) -> onnx.ModelProto:
    return _model([helper.make_node("Gather", ["values", "index"], ["value"])], {"values": values})


def _slowly(values: np.ndarray) -> onnx.ModelProto:
    """Return the same after many products of matrices; they depend on the input, so that nothing is computed before."""
    unit = np.eye(_SIZE, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["index"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["as_float"], ["total"], keepdims=0),
        helper.make_node("Mul", ["total", "zero"], ["nothing"]),
        helper.make_node("Add", ["unit", "nothing"], ["product0"]),
        *(helper.make_node("MatMul", [f"product{at}", "unit"], [f"product{at + 1}"]) for at in range(_ROUNDS)),
        helper.make_node("ReduceMax", [f"product{_ROUNDS}"], ["one"], keepdims=0),
        helper.make_node("Gather", ["values", "index"], ["found"]),
        helper.make_node("Mul", ["found", "one"], ["value"]),
    ]
    return _model(nodes, {"values": values, "unit": unit, "zero": np.array(0, np.float32)})


def _model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "prices",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model
