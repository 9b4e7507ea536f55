"""Tiny ONNX models, built in memory, each with its serving contract and what it must answer.

Opset 17 and IR version 8: what every ONNX Runtime of the last years reads, Triton's included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from headrace.tensor.v1 import tensor_pb2
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

# What TensorProto calls an element type → what the Open Inference Protocol calls it.
_DATATYPES: dict[int, str] = {
    TensorProto.BOOL: "BOOL",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
    TensorProto.STRING: "BYTES",
}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A model file with its contract.

    content: the bytes of model.onnx. contract: row shapes, as the registry wants them.
    expected: from the input arrays by name, rows first, to the output arrays by name.
    """

    content: bytes
    contract: tensor_pb2.ServingContract
    expected: Callable[[Arrays], dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: element type of TensorProto, shape of one row, where None varies by request."""

    name: str
    element: int
    row: tuple[int | None, ...] = ()


def linear(features: int = 4, outputs: int = 3, *, seed: int = 0) -> TinyModel:
    """`features` [rows, features] FP32 → `scores` [rows, outputs] FP32, with random weights of that seed."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(features, outputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    return _build(
        [helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"])],
        [Port("features", TensorProto.FLOAT, (features,))],
        [Port("scores", TensorProto.FLOAT, (outputs,))],
        lambda given: {"scores": given["features"] @ weights + bias},
        constants={"weights": weights, "bias": bias},
    )


def classifier(features: int = 4, classes: int = 3, *, seed: int = 0) -> TinyModel:
    """`features` FP32 → `label` [rows] INT64 (one value per row) and `probabilities` [rows, classes] FP32."""
    weights = np.random.default_rng(seed).normal(size=(features, classes)).astype(np.float32)

    def expected(given: Arrays) -> dict[str, np.ndarray]:
        scores = given["features"] @ weights
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return {"label": scores.argmax(axis=1), "probabilities": shares / shares.sum(axis=1, keepdims=True)}

    return _build(
        [
            helper.make_node("MatMul", ["features", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        [Port("features", TensorProto.FLOAT, (features,))],
        [Port("label", TensorProto.INT64), Port("probabilities", TensorProto.FLOAT, (classes,))],
        expected,
        constants={"weights": weights},
    )


def identity(features: int = 4, *, element: int = TensorProto.FLOAT) -> TinyModel:
    """`x` → `y`, the same values; TensorProto.STRING gives a model of BYTES."""
    return _build(
        [helper.make_node("Identity", ["x"], ["y"])],
        [Port("x", element, (features,))],
        [Port("y", element, (features,))],
        lambda given: {"y": given["x"]},
    )


def every_element() -> TinyModel:
    """`x-fp32` [rows, 2] → `y-fp32`, the same values, and so on for every datatype that ONNX has as well."""
    elements = {datatype.lower(): element for element, datatype in _DATATYPES.items()}
    return _build(
        [helper.make_node("Identity", [f"x-{name}"], [f"y-{name}"]) for name in elements],
        [Port(f"x-{name}", element, (2,)) for name, element in elements.items()],
        [Port(f"y-{name}", element, (2,)) for name, element in elements.items()],
        lambda given: {f"y-{name}": given[f"x-{name}"] for name in elements},
    )


def plus(constant: float) -> TinyModel:
    """`x` [rows] FP32 → `y` [rows] FP32: x plus the constant, by which an answer shows who computed it."""
    return _build(
        [helper.make_node("Add", ["x", "constant"], ["y"])],
        [Port("x", TensorProto.FLOAT)],
        [Port("y", TensorProto.FLOAT)],
        lambda given: {"y": given["x"] + np.float32(constant)},
        constants={"constant": np.array([constant], dtype=np.float32)},
    )


def two_inputs_two_outputs() -> TinyModel:
    """`a` [rows, 3] and `b` [rows, 3] FP32 → `sum` [rows, 3] and `dot` [rows]."""
    return _build(
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Mul", ["a", "b"], ["product"]),
            helper.make_node("ReduceSum", ["product", "axes"], ["dot"], keepdims=0),
        ],
        [Port("a", TensorProto.FLOAT, (3,)), Port("b", TensorProto.FLOAT, (3,))],
        [Port("sum", TensorProto.FLOAT, (3,)), Port("dot", TensorProto.FLOAT)],
        lambda given: {"sum": given["a"] + given["b"], "dot": (given["a"] * given["b"]).sum(axis=1)},
        constants={"axes": np.array([1], dtype=np.int64)},
    )


def variable_dimension() -> TinyModel:
    """`tokens` [rows, any] INT64 → `lengths` [rows] INT64 (how many are not zero) and `doubled` [rows, any] INT64."""
    return _build(
        [
            helper.make_node("Sign", ["tokens"], ["signs"]),
            helper.make_node("Abs", ["signs"], ["present"]),
            helper.make_node("ReduceSum", ["present", "axes"], ["lengths"], keepdims=0),
            helper.make_node("Add", ["tokens", "tokens"], ["doubled"]),
        ],
        [Port("tokens", TensorProto.INT64, (None,))],
        [Port("lengths", TensorProto.INT64), Port("doubled", TensorProto.INT64, (None,))],
        lambda given: {"lengths": (given["tokens"] != 0).sum(axis=1), "doubled": given["tokens"] * 2},
        constants={"axes": np.array([1], dtype=np.int64)},
    )


def pairs() -> TinyModel:
    """`x` [rows, any] FP32 → `product` [rows]; `any` has to be 2, which the file does not say."""
    weights = np.array([2.0, 3.0], dtype=np.float32)
    return _build(
        [helper.make_node("MatMul", ["x", "weights"], ["product"])],
        [Port("x", TensorProto.FLOAT, (None,))],
        [Port("product", TensorProto.FLOAT)],
        lambda given: {"product": given["x"] @ weights},
        constants={"weights": weights},
    )


def table(entries: int = 8, *, spoilt_from: int | None = None) -> TinyModel:
    """`index` [rows] INT64 → `value` [rows] FP32; an index beyond the table makes the whole execution fail.

    spoilt_from: entries from that one on are NaN.
    """
    values = np.arange(entries, dtype=np.float32) * 10
    if spoilt_from is not None:
        values[spoilt_from:] = np.nan
    return _build(
        [helper.make_node("Gather", ["values", "index"], ["value"])],
        [Port("index", TensorProto.INT64)],
        [Port("value", TensorProto.FLOAT)],
        lambda given: {"value": values[given["index"]]},
        constants={"values": values},
    )


def categories(values: Mapping[int, float]) -> TinyModel:
    """`x` [rows] INT64, one of the keys → `y` [rows] FP32, its value; another key makes the whole execution fail."""
    keys, table = list(values), np.array(list(values.values()), dtype=np.float32)
    return _build(
        [
            helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
            helper.make_node("Equal", ["column", "keys"], ["same"]),
            helper.make_node("Cast", ["same"], ["numbers"], to=TensorProto.INT64),
            # Where no key is the same, far beyond the table.
            helper.make_node("ReduceMax", ["numbers"], ["known"], axes=[1], keepdims=0),
            helper.make_node("ArgMax", ["numbers"], ["at"], axis=1, keepdims=0),
            helper.make_node("Sub", ["one", "known"], ["unknown"]),
            helper.make_node("Mul", ["unknown", "beyond"], ["off"]),
            helper.make_node("Add", ["at", "off"], ["place"]),
            helper.make_node("Gather", ["table", "place"], ["y"]),
        ],
        [Port("x", TensorProto.INT64)],
        [Port("y", TensorProto.FLOAT)],
        lambda given: {"y": np.array([values[int(x)] for x in given["x"]], dtype=np.float32)},
        constants={
            "keys": np.array(keys, dtype=np.int64),
            "axis": np.array([1], dtype=np.int64),
            "one": np.array(1, dtype=np.int64),
            "beyond": np.array(10**6, dtype=np.int64),
            "table": table,
        },
    )


def whole_batch_mean(features: int = 4) -> TinyModel:
    """`x` [rows, features] → `mean` [1] of all that is in it, declared as one value per row, which it is not."""
    return _build(
        [
            helper.make_node("ReduceMean", ["x"], ["number"], keepdims=0),
            helper.make_node("Unsqueeze", ["number", "axis"], ["mean"]),
        ],
        [Port("x", TensorProto.FLOAT, (features,))],
        [Port("mean", TensorProto.FLOAT)],
        lambda given: {"mean": np.full(len(given["x"]), given["x"].mean(), dtype=np.float32)},
        constants={"axis": np.array([0], dtype=np.int64)},
    )


def slow_table(rounds: int, entries: int = 8) -> TinyModel:
    """`table`, after so many products of 256 x 256 matrices for each execution (each about 0.2 ms on one core)."""
    size = 256
    return _build(
        [
            # The start depends on the input and the answer on the end: nothing can be folded away beforehand.
            helper.make_node("Cast", ["index"], ["as_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["as_float"], ["total"], keepdims=0),
            helper.make_node("Mul", ["total", "zero"], ["nothing"]),
            helper.make_node("Add", ["unit", "nothing"], ["start"]),
            helper.make_node("Loop", ["rounds", "yes", "start"], ["end"], body=_round(size)),
            helper.make_node("ReduceMax", ["end"], ["one"], keepdims=0),
            helper.make_node("Gather", ["values", "index"], ["found"]),
            helper.make_node("Mul", ["found", "one"], ["value"]),
        ],
        [Port("index", TensorProto.INT64)],
        [Port("value", TensorProto.FLOAT)],
        lambda given: {"value": np.arange(entries, dtype=np.float32)[given["index"]] * 10},
        constants={
            "values": np.arange(entries, dtype=np.float32) * 10,
            "rounds": np.array(rounds, dtype=np.int64),
            "yes": np.array(True),
            "zero": np.array(0, dtype=np.float32),
            "unit": np.eye(size, dtype=np.float32),
        },
    )


def fatal() -> TinyModel:
    """`x` [rows] INT64, from 0 → `y` [rows] INT64: the lowest number / (x + 1).

    On -2 the process dies of SIGFPE, on x86: the lowest number has no opposite.
    """
    lowest, one = np.array([np.iinfo(np.int64).min], dtype=np.int64), np.array([1], dtype=np.int64)
    return _build(
        [helper.make_node("Add", ["x", "one"], ["by"]), helper.make_node("Div", ["lowest", "by"], ["y"])],
        [Port("x", TensorProto.INT64)],
        [Port("y", TensorProto.INT64)],
        lambda given: {"y": np.array([-(2**63 // (int(x) + 1)) for x in given["x"]], dtype=np.int64)},
        constants={"lowest": lowest, "one": one},
    )


def slow(rounds: int = 200, *, features: int = 4) -> TinyModel:
    """`x` → `y`, the same values, after `rounds` products of 256 x 256 matrices (each about 0.2 ms on one core)."""
    return _in_rounds(features, [], "rounds", {"rounds": np.array(rounds, dtype=np.int64)})


def as_long_as_asked() -> TinyModel:
    """`x` [rows, 1] → `y`, the same values, after as many such products as the largest `x` says."""
    largest = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["asked"], to=TensorProto.INT64),
    ]
    return _in_rounds(1, largest, "asked", {})


def _in_rounds(
    features: int, before: Sequence[onnx.NodeProto], rounds: str, constants: Mapping[str, np.ndarray]
) -> TinyModel:
    """Return a model that computes as many rounds as the tensor of that name says."""
    size = 256
    return _build(
        [
            *before,
            # The start depends on the input and the answer on the end: nothing can be folded away beforehand.
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            helper.make_node("Mul", ["total", "zero"], ["nothing"]),
            helper.make_node("Add", ["unit", "nothing"], ["start"]),
            helper.make_node("Loop", [rounds, "yes", "start"], ["end"], body=_round(size)),
            helper.make_node("ReduceMax", ["end"], ["one"], keepdims=0),
            helper.make_node("Mul", ["x", "one"], ["y"]),
        ],
        [Port("x", TensorProto.FLOAT, (features,))],
        [Port("y", TensorProto.FLOAT, (features,))],
        lambda given: {"y": given["x"]},
        constants={
            **constants,
            "yes": np.array(True),
            "zero": np.array(0, dtype=np.float32),
            "unit": np.eye(size, dtype=np.float32),
        },
    )


def _round(size: int) -> onnx.GraphProto:
    """Return the body of a loop that multiplies its state by `unit`."""
    return helper.make_graph(
        [
            helper.make_node("Identity", ["keep_on"], ["keep_on_out"]),
            helper.make_node("MatMul", ["state", "unit"], ["state_out"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [size, size]),
        ],
        [
            helper.make_tensor_value_info("keep_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [size, size]),
        ],
    )


def _build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    expected: Callable[[Arrays], dict[str, np.ndarray]],
    *,
    constants: Mapping[str, np.ndarray] | None = None,
) -> TinyModel:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_value_info(port) for port in inputs],
        [_value_info(port) for port in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="headrace-tests"
    )
    contract = tensor_pb2.ServingContract(
        inputs=[_spec(port) for port in inputs], outputs=[_spec(port) for port in outputs]
    )
    return TinyModel(proto.SerializeToString(deterministic=True), contract, expected)


def _value_info(port: Port) -> onnx.ValueInfoProto:
    row = [f"{port.name}_{axis}" if size is None else size for axis, size in enumerate(port.row)]
    return helper.make_tensor_value_info(port.name, port.element, ["rows", *row])


def _spec(port: Port) -> tensor_pb2.TensorSpec:
    shape = [-1 if size is None else size for size in port.row]
    return tensor_pb2.TensorSpec(name=port.name, datatype=_DATATYPES[port.element], shape=shape)
