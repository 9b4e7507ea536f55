"""Run by an environment with pyspark: a function of rows, or of batches, over Parquet files, on this machine alone.

ORDER: JSON with model, features, files, output, workers, batch_rows, and how: `rows`, a plain function of Python for
each row, or `batches`, `mapInPandas`. Files and not S3, for which its package has no jars.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

# Spark sends this with its functions, by value: each task has one of its own.
_loaded: dict[str, Any] = {}


def session(model: str) -> Any:
    """Return a loaded model, loaded once for each task."""
    if model not in _loaded:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        _loaded[model] = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return _loaded[model]


def main() -> None:
    order = json.loads(sys.argv[1])
    model, features = order["model"], order["features"]
    began = time.perf_counter()
    rows = _spark(order).read.parquet(*order["files"])
    if order["how"] == "rows":
        scored = _row_by_row(rows, model, features)
    else:
        scored = rows.mapInPandas(_batch_by_batch(model, features), "customer string, score float")
    scored.write.parquet(order["output"])
    print(json.dumps({"wall_s": time.perf_counter() - began}), flush=True)
    sys.stdin.readline()  # what it used is counted while its processes are there


def _row_by_row(rows: Any, model: str, features: list[str]) -> Any:
    from pyspark.sql.functions import udf

    def score(*values: float) -> float:
        return float(session(model).run(None, {"features": np.array([values], np.float32)})[0][0, 0])

    return rows.select("customer", udf(score, "float")(*features).alias("score"))


def _batch_by_batch(model: str, features: list[str]) -> Any:
    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            given = np.stack([batch[name].to_numpy() for name in features], axis=1)
            scores = session(model).run(None, {"features": given})[0].ravel()
            yield pd.DataFrame({"customer": batch["customer"], "score": scores})

    return score


def _spark(order: dict[str, Any]) -> Any:
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(order["batch_rows"]),
    }
    builder = SparkSession.builder.master(f"local[{order['workers']}]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


if __name__ == "__main__":
    main()
