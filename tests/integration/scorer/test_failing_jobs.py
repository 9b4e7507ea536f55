"""Jobs that cannot go on: each ends with a reason and what to do, or waits until it can."""

from __future__ import annotations

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of
from tests.kit.scorer.service import MODEL, ScorerRig, created, done, features, over, parquet, scorer
from tests.kit.scorer.stopped_jobs import SHARD_ROWS, SHARDS, slow_job
from tests.kit.wire.forwarder import Forwarder


@pytest.mark.faults
@pytest.mark.long
async def test_a_job_that_cannot_go_on_says_why(scoring: ScorerRig):
    spec = slow_job(scoring)
    poor = features(3000).set_column(1, "x0", [[None] * 3000])
    scoring.put("poor/a.parquet", parquet(poor.cast(features(1).schema)))
    async with scorer(scoring) as (_, stub):
        rejected = await over(stub, (await created(stub, scoring.spec("poor"))).name)
        assert (rejected.state, rejected.failure) == (pb.ScoringJob.STATE_FAILED, "TOO_MANY_REJECTED")
        assert "3,000 of 3,000 rows are rejected, more than 1.000%" in rejected.reason

        changed = await created(stub, spec)
        await done(stub, changed.name, 2)
        scoring.put("in/a.parquet", parquet(features(SHARDS * SHARD_ROWS, seed=9), group_rows=SHARD_ROWS))
        changed = await over(stub, changed.name)
        assert (changed.state, changed.failure) == (pb.ScoringJob.STATE_FAILED, "INPUT_CHANGED")
        assert "in/a.parquet" in changed.reason
        retry = stub.RetryScoringJob(pb.RetryScoringJobRequest(name=changed.name), timeout=10)
        assert await reason_of(retry) == "INPUT_CHANGED"

        gone = await created(stub, spec)
        await stub.PauseScoringJob(pb.PauseScoringJobRequest(name=gone.name), timeout=10)
        kept = scoring.registry.versions[MODEL].pop("v2")
        await stub.ResumeScoringJob(pb.ResumeScoringJobRequest(name=gone.name), timeout=10)
        gone = await over(stub, gone.name)
        assert (gone.state, gone.failure) == (pb.ScoringJob.STATE_FAILED, "VERSION_GONE")
        scoring.registry.versions[MODEL]["v2"] = kept
        await stub.RetryScoringJob(pb.RetryScoringJobRequest(name=gone.name), timeout=10)
        assert (await over(stub, gone.name)).state == pb.ScoringJob.STATE_SUCCEEDED


@pytest.mark.faults
@pytest.mark.long
async def test_without_s3_or_postgresql_a_job_waits_and_then_goes_on(scoring: ScorerRig):
    spec = slow_job(scoring)
    database, store = scoring.environment["SCORER_DATABASE_URL"], scoring.environment["SCORER_S3_ENDPOINT"]
    async with Forwarder.before(store) as to_s3, Forwarder.before(database) as to_postgres:
        through = {"SCORER_S3_ENDPOINT": to_s3.url(store), "SCORER_DATABASE_URL": to_postgres.url(database)}
        async with scorer(scoring, through) as (_, stub):
            job = await created(stub, spec)
            await done(stub, job.name, 2)
            to_s3.cut()
            to_postgres.cut()

            async def unavailable() -> bool:
                return await reason_of(stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=20)) != ""

            await eventually(unavailable, within=20)
            to_postgres.mend()
            to_s3.mend()
            job = await over_again(stub, job.name)
        assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
        assert job.manifest.rows_out == SHARDS * SHARD_ROWS
        assert len([name for name in scoring.objects(job.output_uri) if name.startswith("part-")]) == SHARDS


async def over_again(stub: object, name: str) -> pb.ScoringJob:
    """Return a job once it is over, through watches that end with the database's absence."""
    return await done(stub, name, SHARDS + 1, within=180)
