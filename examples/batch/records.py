"""Customers that are made up, and a model that says how likely each is to leave."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet
from headrace.tensor.v1 import tensor_pb2
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPClassifier

FEATURES = ("tenure_months", "monthly_fee", "calls", "failures", "discount", "devices", "age", "paperless")
SEED = 20261129
# Of each hundred thousand, a few have something that no model should be given.
BROKEN_SHARE = 0.0002

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model file and its contract."""

    file: Path
    contract: tensor_pb2.ServingContract


def customers(count: int, *, seed: int = SEED) -> Array:
    """Return the features of customers."""
    return np.random.default_rng(seed).normal(size=(count, len(FEATURES))).astype(np.float32)


def files(count: int, file_rows: int) -> Iterator[bytes]:
    """Yield customers as Parquet files, a few of them without a fee."""
    for first in range(0, count, file_rows):
        rows = min(file_rows, count - first)
        values = customers(rows, seed=SEED + 1 + first)
        broken = np.random.default_rng(first).random(rows) < BROKEN_SHARE
        columns = {name: pa.array(values[:, at]) for at, name in enumerate(FEATURES)}
        columns["monthly_fee"] = pa.array(values[:, 1], mask=broken)
        ids = pa.array([f"customer-{number}" for number in range(first, first + rows)])
        file = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"customer": ids, **columns}), file, row_group_size=50_000)
        yield file.getvalue()


def train(folder: Path) -> Trained:
    """Train a small network on made-up customers and write it as ONNX."""
    known = customers(20_000)
    weights = np.random.default_rng(SEED).normal(size=len(FEATURES))
    leaves = (known @ weights + np.abs(known[:, 0]) > 1.0).astype(int)
    network = MLPClassifier((64, 32), random_state=SEED, max_iter=20, early_stopping=True).fit(known, leaves)
    file = folder / "churn.onnx"
    onnx.save(_exported(network), file)
    spec = tensor_pb2.TensorSpec
    contract = tensor_pb2.ServingContract(
        inputs=[spec(name="customer_features", datatype="FP32", shape=[len(FEATURES)])],
        outputs=[spec(name="leaves", datatype="FP32", shape=[1], minimum=0, maximum=1)],
        prediction="leaves",
        task=tensor_pb2.ServingContract.TASK_RANKING,
    )
    return Trained(file, contract)


def _exported(network: MLPClassifier) -> onnx.ModelProto:
    nodes, constants, given = [], [], "customer_features"
    for at, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        last = at == len(network.coefs_) - 1
        constants.append(numpy_helper.from_array(weights.astype(np.float32), f"w{at}"))
        constants.append(numpy_helper.from_array(bias.astype(np.float32), f"b{at}"))
        nodes.append(helper.make_node("Gemm", [given, f"w{at}", f"b{at}"], [f"sum{at}"]))
        given = "leaves" if last else f"layer{at}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"sum{at}"], [given]))
    graph = helper.make_graph(
        nodes,
        "churn",
        [helper.make_tensor_value_info("customer_features", TensorProto.FLOAT, ["rows", len(FEATURES)])],
        [helper.make_tensor_value_info("leaves", TensorProto.FLOAT, ["rows", 1])],
        constants,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
