"""`python -m benchmarks.systems.batch.worker ORDER`: what one worker of a job does, in this process alone, without Ray.

ORDER: JSON with the store, the model, key (Parquet in S3) and features. A shard is read from S3, scored, written and
put into S3, as the scorer's actors do it. Prints rows per second of processor time, of the quietest of several shards.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from headrace.tensor.v1 import tensor_pb2
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Format, Location, Spec, TensorColumns
from headrace_scorer.engine.inputs.files import described
from headrace_scorer.engine.messages import Access, Work
from headrace_scorer.engine.shard_scorer import Columns, ShardScorer

from benchmarks.systems.batch.records import BUCKET, Store

GROUPS, SHARDS = 2, 5


def main() -> None:
    order = json.loads(sys.argv[1])
    store = Store(order["endpoint"], order["access_key"], order["secret_key"])
    with tempfile.TemporaryDirectory() as name:
        rates, batch_rows = _measured(order, store, Path(name))
    print(json.dumps({"rows_per_cpu_s": max(rates), "batch_rows": batch_rows}))


def _measured(order: dict[str, Any], store: Store, folder: Path) -> tuple[list[float], int]:
    keys = folder / "credentials"
    keys.write_text(f"[default]\naws_access_key_id = {store.access_key}\naws_secret_access_key = {store.secret_key}\n")
    content = Path(order["model"]).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    store.client.put_object(Bucket=BUCKET, Key=f"blobs/sha256/{sha256}", Body=content)
    there = store.client.head_object(Bucket=BUCKET, Key=order["key"])
    features, prefix = tuple(order["features"]), f"bench-batch/_worker-{time.time_ns()}"
    spec = Spec(Location(BUCKET, "bench-batch"), tensors=(TensorColumns("features", features),), keep=("customer",))
    tensor = tensor_pb2.TensorSpec
    contract = tensor_pb2.ServingContract(
        inputs=[tensor(name="features", datatype="FP32", shape=[len(features)])],
        outputs=[tensor(name="score", datatype="FP32", shape=[1])],
    )
    encoded = base64.b64encode(contract.SerializeToString()).decode()
    access = Access(store.endpoint, "us-east-1", str(keys), BUCKET)
    work = Work("models/bench/scoringJobs/1", spec, encoded, sha256, Location(BUCKET, prefix), access)
    scorer = ShardScorer(work, Columns(spec.tensors, ("customer", *features), {}), folder)
    scorer.load()
    whole = store.client.get_object(Bucket=BUCKET, Key=order["key"])["Body"].read()
    groups = described(io.BufferedReader(io.BytesIO(whole)), Format.PARQUET).group_rows[:GROUPS]  # pyright: ignore[reportArgumentType]
    rows, rates = sum(groups), []
    shards = [
        Shard(at, order["key"], there["ETag"], there["ContentLength"], 0, len(groups), 0, rows)
        for at in range(SHARDS + 1)
    ]
    batch_rows = scorer.measured(shards[0])
    for shard in shards:
        began = time.process_time()
        scorer.score(shard, batch_rows)
        rates.append(rows / (time.process_time() - began))
    return rates[1:], batch_rows


if __name__ == "__main__":
    main()
