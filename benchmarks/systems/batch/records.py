"""What the systems of `make bench-batch` score: made-up records in S3, and two networks as ONNX."""

from __future__ import annotations

import configparser
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet
from headrace.tensor.v1 import tensor_pb2
from onnx import TensorProto, helper, numpy_helper

from benchmarks.systems.stack import Stack

BUCKET = "headrace-scoring"
FILES = 10
GROUP_ROWS = 50_000
SEED = 20261129
_S3_OFFSET = 22


@dataclass(frozen=True, slots=True)
class Network:
    """A network of layers. layers: widths, the first that of the input."""

    name: str
    layers: tuple[int, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of its input."""
        return tuple(f"f{at}" for at in range(self.layers[0]))

    @property
    def weights(self) -> int:
        """How many multiplications a row takes."""
        return sum(first * second for first, second in zip(self.layers, self.layers[1:], strict=False))


NETWORKS = (Network("small", (8, 64, 32, 1)), Network("large", (32, 512, 256, 1)))


@dataclass(frozen=True, slots=True)
class Store:
    """The stack's S3, as settings for a separate process."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def client(self) -> Any:
        session: Any = boto3.Session(self.access_key, self.secret_key, region_name="us-east-1")
        return session.client("s3", endpoint_url=self.endpoint)


def store_of(stack: Stack) -> Store:
    """Return where a stack keeps files."""
    keys = configparser.RawConfigParser()
    keys.read(stack.identity / "s3.credentials")
    told = keys["default"]
    endpoint = f"http://127.0.0.1:{stack.port + _S3_OFFSET}"
    return Store(endpoint, told["aws_access_key_id"], told["aws_secret_access_key"])


def exported(network: Network, file: Path) -> tensor_pb2.ServingContract:
    """Write a network with random weights as ONNX, and return its contract."""
    rng = np.random.default_rng(SEED)
    nodes, constants, given = [], [], "features"
    pairs = list(zip(network.layers, network.layers[1:], strict=False))
    for at, (width, following) in enumerate(pairs):
        last = at == len(pairs) - 1
        weights = (rng.normal(size=(width, following)) / np.sqrt(width)).astype(np.float32)
        constants.append(numpy_helper.from_array(weights, f"w{at}"))
        constants.append(numpy_helper.from_array(np.zeros(following, np.float32), f"b{at}"))
        nodes.append(helper.make_node("Gemm", [given, f"w{at}", f"b{at}"], [f"sum{at}"]))
        given = "score" if last else f"layer{at}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"sum{at}"], [given]))
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", network.layers[0]])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        constants,
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file)
    spec = tensor_pb2.TensorSpec
    return tensor_pb2.ServingContract(
        inputs=[spec(name="features", datatype="FP32", shape=[network.layers[0]])],
        outputs=[spec(name="score", datatype="FP32", shape=[1])],
    )


def written(store: Store, network: Network, rows: int, *, group_rows: int = GROUP_ROWS) -> list[str]:
    """Return the keys of so many records in S3, written unless they are there."""
    prefix, client = f"bench-batch/{network.name}-{rows}", store.client
    if group_rows != GROUP_ROWS:
        prefix = f"{prefix}-{group_rows}"
    there = {one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", ())}
    keys = [f"{prefix}/part-{number:02}.parquet" for number in range(FILES)]
    for number, key in enumerate(keys):
        if key in there:
            continue
        count, first = rows // FILES, number * (rows // FILES)
        values = np.random.default_rng(SEED + number).normal(size=(count, network.layers[0])).astype(np.float32)
        columns: dict[str, Any] = {name: values[:, at] for at, name in enumerate(network.features)}
        ids = pa.array([f"customer-{number}" for number in range(first, first + count)])
        file = io.BytesIO()
        pyarrow.parquet.write_table(pa.table({"customer": ids, **columns}), file, row_group_size=group_rows)
        client.put_object(Bucket=BUCKET, Key=key, Body=file.getvalue())
    return keys
