"""Jobs over real stores, scored by Ray."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.scorer.service import FEATURES, ScorerRig, created, features, over, parquet, scorer


@pytest.mark.long
async def test_every_row_is_scored_once_or_rejected_with_a_reason(scoring: ScorerRig):
    good, poor = features(25_000), features(10_000, seed=1)
    columns = {name: poor.column(name).to_pylist() for name in poor.column_names}
    columns["x2"][17] = None
    poor = type(poor).from_pydict(columns, schema=poor.schema)
    scoring.put("in/a.parquet", parquet(good))
    scoring.put("in/b.parquet", parquet(poor))
    scoring.put("in/_SUCCESS", b"")
    async with scorer(scoring) as (_, stub):
        job = await over(stub, (await created(stub, scoring.spec())).name)
    assert (job.state, job.reason) == (pb.ScoringJob.STATE_SUCCEEDED, "34,999 rows are scored, 1 rejected")
    manifest = job.manifest
    assert (manifest.rows_in, manifest.rows_out, manifest.rows_rejected, manifest.files) == (35_000, 34_999, 1, 5)
    assert job.progress.shards_done == job.progress.shards == 4

    objects = scoring.objects(job.output_uri)
    (rejected,) = [content for name, content in objects.items() if name.startswith("_rejected/")]
    assert json.loads(rejected) == {"object": "in/b.parquet", "row": 17, "column": "x2", "reason": "is null"}
    told = json.loads(objects["_manifest.json"])
    assert told["digest"] == manifest.digest
    assert sum(file["rows"] for file in told["files"]) == 34_999

    first = pq.read_table(io.BytesIO(objects[min(name for name in objects if name.startswith("part-"))]))
    inputs = np.stack([good.column(name).to_numpy() for name in FEATURES], axis=1)[: first.num_rows]
    expected = scoring.model.expected({"features": inputs})["scores"]
    assert first.column("id").to_pylist() == good.column("id").to_pylist()[: first.num_rows]
    np.testing.assert_allclose(np.array(first.column("scores").to_pylist()), expected, rtol=1e-5, atol=1e-6)
    assert scoring.scored(job.output_uri).num_rows == 34_999


@pytest.mark.long
async def test_columns_of_text_files_are_computed_before_and_after(scoring: ScorerRig):
    lines = [f"{at},{at / 10},oops{at}" if at == 3 else f"{at},{at / 10},{at}" for at in range(1000)]
    scoring.put("in/a.csv", "\n".join(["id,half,whole", *lines]).encode())
    spec = scoring.spec(
        derived_columns=[
            pb.ScoringSpec.ColumnExpression(column="square", expression="half * half"),
            pb.ScoringSpec.ColumnExpression(column="number", expression="cast(whole as double)"),
        ],
        tensors=[pb.ScoringSpec.TensorColumns(tensor="features", columns=["half", "square", "number", "number"])],
        output_columns=[pb.ScoringSpec.ColumnExpression(column="best", expression="list_max(scores) + half")],
        options=pb.ScoringOptions(batch_rows=256),
    )
    async with scorer(scoring) as (_, stub):
        job = await over(stub, (await created(stub, spec)).name)
    assert (job.state, job.manifest.rows_rejected) == (pb.ScoringJob.STATE_SUCCEEDED, 1), job.reason
    found = scoring.scored(job.output_uri)
    rows = [at for at in range(1000) if at != 3]
    half, number = np.array(rows) / 10, np.array(rows, np.float64)
    inputs = np.stack([half, half * half, number, number], axis=1).astype(np.float32)
    expected = scoring.model.expected({"features": inputs})["scores"].max(axis=1) + half
    assert found.column("id").to_pylist() == rows
    np.testing.assert_allclose(found.column("best").to_numpy(), expected, rtol=1e-4)
