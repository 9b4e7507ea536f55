"""Run by an environment with Ray Data: `map_batches` over the same files, as its documentation has it. ORDER: JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.fs
import ray
import ray.data


class Predictor:
    """A loaded model, in an actor."""

    def __init__(self, model: bytes, features: list[str]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._features = features

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        given = np.stack([batch[name] for name in self._features], axis=1)
        return {"customer": batch["customer"], "score": self._session.run(None, {"features": given})[0].ravel()}


def main() -> None:
    order = json.loads(sys.argv[1])
    with open(order["model"], "rb") as file:
        model = file.read()
    began = time.perf_counter()
    # Reading and writing are tasks beside the actors, which keep a core each.
    ray.init("local", num_cpus=order["workers"] + 1, include_dashboard=False, _node_ip_address="127.0.0.1")
    store = pyarrow.fs.S3FileSystem(
        access_key=order["access_key"],
        secret_key=order["secret_key"],
        endpoint_override=order["endpoint"],
        region="us-east-1",
    )
    rows = ray.data.read_parquet(order["files"], filesystem=store)
    scored = rows.map_batches(
        Predictor,
        fn_constructor_args=(model, order["features"]),
        batch_size=order["batch_rows"],
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=order["workers"]),
        num_cpus=1,
    )
    scored.write_parquet(order["output"], filesystem=store)
    print(json.dumps({"wall_s": time.perf_counter() - began}), flush=True)
    sys.stdin.readline()  # what it used is counted while its processes are there


if __name__ == "__main__":
    main()
