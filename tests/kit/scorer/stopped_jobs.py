"""A job that takes its time, so that a test can stop it."""

from __future__ import annotations

from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.models.onnx_models import slow
from tests.kit.scorer.service import ScorerRig, features, parquet, register

SHARDS, SHARD_ROWS = 16, 1000


def slow_job(rig: ScorerRig) -> pb.ScoringSpec:
    """Return a job of which each shard takes tenths of a second, and write its input."""
    model = slow(150)
    register(rig, "v2", model)
    rig.put("in/a.parquet", parquet(features(SHARDS * SHARD_ROWS), group_rows=SHARD_ROWS))
    (name,) = (spec.name for spec in model.contract.inputs)
    return rig.spec(
        version="v2",
        tensors=[pb.ScoringSpec.TensorColumns(tensor=name, columns=["x0", "x1", "x2", "x3"])],
        options=pb.ScoringOptions(shard_rows=SHARD_ROWS, batch_rows=100),
    )
