"""`python -m benchmarks.systems.batch.alone ORDER`: ONNX Runtime over Arrow batches in memory, in this process alone.

ORDER: JSON with model, file (Parquet), features, and how: `batches`, or `rows`, one call for each row as a function of
rows makes it. Prints rows per second of processor time, of the fastest batch size.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet

SIZES = (256, 1024, 4096, 16_384)
SECONDS = 2.0
ROUNDS = 3


def main() -> None:
    order = json.loads(sys.argv[1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(order["model"], options, providers=["CPUExecutionProvider"])
    table = pyarrow.parquet.read_table(order["file"], columns=order["features"]).slice(0, 200_000)
    sizes = SIZES if order["how"] == "batches" else (1,)
    # The quietest of several rounds: what others do on the machine makes a round slower, and none faster.
    rates = {size: max(_rate(session, table, order["features"], size) for _ in range(ROUNDS)) for size in sizes}
    best = max(rates, key=lambda size: rates[size])
    print(json.dumps({"rows_per_cpu_s": rates[best], "batch_rows": best}))


def _rate(session: Any, table: pa.Table, features: Sequence[str], size: int) -> float:
    batches = table.combine_chunks().to_batches(max_chunksize=size)
    rows, began = 0, time.process_time()
    while True:
        for batch in batches:
            given = np.stack([batch.column(name).to_numpy() for name in features], axis=1)
            session.run(None, {"features": given})
            rows += batch.num_rows
            took = time.process_time() - began
            if took > SECONDS:
                return rows / took


if __name__ == "__main__":
    main()
