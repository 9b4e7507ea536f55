"""Jobs whose processes are killed, and that people stop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import psutil
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.scorer.service import MODEL, ScorerRig, created, done, over, scorer
from tests.kit.scorer.stopped_jobs import SHARD_ROWS, SHARDS, slow_job


def part_of(process: asyncio.subprocess.Process, what: str) -> psutil.Process | None:
    """Return a process below a scorer whose command line has a word."""
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            if what in " ".join(one.cmdline()):
                return one
        except psutil.Error:
            continue
    return None


def written(rig: ScorerRig, uri: str) -> dict[str, Any]:
    """Return when each file of results was written."""
    prefix = uri.removeprefix(f"s3://{rig.s3.bucket}/")
    found = rig.client.list_objects_v2(Bucket=rig.s3.bucket, Prefix=f"{prefix}/part-").get("Contents", ())
    return {one["Key"]: one["LastModified"] for one in found}


def parts(rig: ScorerRig, uri: str) -> dict[str, bytes]:
    """Return the files of results."""
    return {name: content for name, content in rig.objects(uri).items() if name.startswith("part-")}


@pytest.mark.faults
@pytest.mark.long
async def test_whatever_is_killed_what_is_done_stays_done_and_the_results_are_the_same_bytes(scoring: ScorerRig):
    spec = slow_job(scoring)
    async with scorer(scoring) as (process, stub):
        undisturbed = await over(stub, (await created(stub, spec)).name)
        assert undisturbed.state == pb.ScoringJob.STATE_SUCCEEDED, undisturbed.reason

        job = await created(stub, spec)
        for shards, what in ((2, "ray::ShardActor"), (5, "engine.driving")):
            await done(stub, job.name, shards)
            victim = await eventually(lambda what=what: part_of(process, what), within=60)
            assert victim is not None
            victim.kill()
        job = await done(stub, job.name, 9)
        before = written(scoring, job.output_uri)
        orphans = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        await eventually(lambda: not any(one.is_running() and one.status() != "zombie" for one in orphans), within=20)
    async with scorer(scoring) as (_, stub):
        job = await over(stub, job.name)
        events = (await stub.ListScoringJobEvents(pb.ListScoringJobEventsRequest(parent=job.name), timeout=10)).events
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert [one.type for one in events].count("recovered") == 2
    after = written(scoring, job.output_uri)
    assert {key: after[key] for key in before} == before
    assert parts(scoring, job.output_uri) == parts(scoring, undisturbed.output_uri)
    assert len(after) == SHARDS
    assert job.manifest.rows_in == job.manifest.rows_out == SHARDS * SHARD_ROWS
    assert job.manifest.input_digest == undisturbed.manifest.input_digest


@pytest.mark.faults
@pytest.mark.long
async def test_a_job_is_paused_resumed_and_cancelled_with_nothing_left(scoring: ScorerRig):
    spec = slow_job(scoring)
    async with scorer(scoring) as (process, stub):
        job = await created(stub, spec, request_id="once")
        assert (await created(stub, spec, request_id="once")).name == job.name
        await done(stub, job.name, 2)
        paused = (await stub.PauseScoringJob(pb.PauseScoringJobRequest(name=job.name, reason="later"), timeout=10)).job
        assert (paused.state, paused.reason) == (pb.ScoringJob.STATE_PAUSED, "later")
        await eventually(lambda: not psutil.Process(process.pid).children(), within=10)
        assert scoring.registry.holds
        await stub.ResumeScoringJob(pb.ResumeScoringJobRequest(name=job.name), timeout=10)
        await done(stub, job.name, paused.progress.shards_done + 2)
        began = time.monotonic()
        await stub.CancelScoringJob(pb.CancelScoringJobRequest(name=job.name), timeout=10)
        ended = await over(stub, job.name)
        took_s = time.monotonic() - began
        assert ended.state == pb.ScoringJob.STATE_CANCELLED
        assert took_s < 10
        assert not psutil.Process(process.pid).children()
        assert scoring.objects(job.output_uri) == {}
        await eventually(lambda: not scoring.registry.holds, within=10)
    assert MODEL in job.name
