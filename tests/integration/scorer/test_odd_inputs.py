"""Inputs that turn out not to be what their first file promised, and a version that is archived meanwhile."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.hostile.damaged_tables import arrow_file, with_last_offset
from tests.kit.scorer.service import FEATURES, MODEL, ScorerRig, created, done, features, over, parquet, scorer
from tests.kit.scorer.stopped_jobs import SHARD_ROWS, SHARDS, slow_job

FAILED, SUCCEEDED = pb.ScoringJob.STATE_FAILED, pb.ScoringJob.STATE_SUCCEEDED


@pytest.mark.long
async def test_a_file_further_down_that_does_not_fit_ends_the_job_by_name_before_anything_is_scored(
    scoring: ScorerRig,
):
    good = features(100)
    whole, texts = parquet(good), good.set_column(1, "x0", [[str(at) for at in range(100)]])
    odd = {
        "INPUT_UNREADABLE": whole[:-6],  # without the end of its footer
        "SCHEMA_MISMATCH": parquet(texts),
        "schema_mismatch": parquet(good.drop_columns(["x3"])),
    }
    scoring.put("empty/a.parquet", parquet(good.slice(0, 0)))
    scoring.put("empty/b.parquet", parquet(good.slice(0, 0)))
    async with scorer(scoring) as (_, stub):
        for failure, content in odd.items():
            scoring.put(f"{failure}/a.parquet", whole)
            scoring.put(f"{failure}/b.parquet", content)
            job = await over(stub, (await created(stub, scoring.spec(failure))).name)
            assert (job.state, job.failure) == (FAILED, failure.upper()), job.reason
            assert f"{failure}/b.parquet" in job.reason
            assert scoring.objects(job.output_uri) == {}
        job = await over(stub, (await created(stub, scoring.spec("empty"))).name)
        assert (job.state, job.failure) == (FAILED, "INPUT_EMPTY"), job.reason

        # Rows without a value, and with one that is none, are told by their number; the others are scored.
        poor = good.set_column(1, "x0", [pa.array([None, float("nan"), *range(98)], pa.float32())])
        scoring.put("poor/a.parquet", parquet(poor))
        spec = scoring.spec("poor", options=pb.ScoringOptions(max_rejected_share=0.1))
        job = await over(stub, (await created(stub, spec)).name)
        assert job.state == SUCCEEDED, job.reason
        assert (job.manifest.rows_in, job.manifest.rows_out, job.manifest.rows_rejected) == (100, 98, 2)
        (lines,) = [text for name, text in scoring.objects(job.output_uri).items() if name.startswith("_rejected/")]
        rejected = [json.loads(line) for line in lines.splitlines()]
        assert [(one["row"], one["column"]) for one in rejected] == [(0, FEATURES[0]), (1, FEATURES[0])]
        assert [one["reason"].split(",")[0] for one in rejected] == ["is null", "is NaN"]


@pytest.mark.long
async def test_a_file_with_texts_beyond_its_buffers_ends_its_job_by_column_and_the_next_one_is_scored(
    scoring: ScorerRig,
):
    good = features(10)
    scoring.put("good/a.arrow", arrow_file(good))
    for end in (900_000, 2_000_000_000):  # into the worker's memory, and into none
        scoring.put(f"{end}/a.arrow", with_last_offset(arrow_file(good), [2] * 10, end))
    async with scorer(scoring) as (_, stub):
        for prefix in ("900000", "2000000000"):
            job = await over(stub, (await created(stub, scoring.spec(prefix))).name)
            assert (job.state, job.failure) == (FAILED, "INPUT_UNREADABLE"), job.reason
            assert f"{prefix}/a.arrow cannot be read: column 'id' is damaged" in job.reason
            assert scoring.objects(job.output_uri) == {}
        job = await over(stub, (await created(stub, scoring.spec("good"))).name)
        assert job.state == SUCCEEDED, job.reason


@pytest.mark.faults
@pytest.mark.long
async def test_a_version_that_is_archived_while_a_job_runs_is_scored_to_the_end(scoring: ScorerRig):
    spec = slow_job(scoring)
    async with scorer(scoring, {"SCORER_PRICE_PER_CPU_HOUR": "3600"}) as (_, stub):
        job = await created(stub, spec)
        await done(stub, job.name, 2)
        scoring.registry.versions[MODEL]["v2"].stage = registry_pb2.ModelVersion.STAGE_ARCHIVED
        job = await over(stub, job.name)
    assert job.state == SUCCEEDED, job.reason
    assert job.manifest.rows_out == SHARDS * SHARD_ROWS
    assert job.manifest.cost == pytest.approx(job.manifest.cpu_seconds)
