"""Shards that kill whoever scores them: each time, so that only ending the job helps, with the name of the shard."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb

from tests.kit.scorer.service import ScorerRig, created, features, over, parquet, scorer
from tests.kit.wire.forwarder import Forwarder

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

ROWS = 1000


class Killer:
    """Kills the actors of a scorer whenever one of them reads an object; the processes that plan are let live."""

    def __init__(self, on: Forwarder) -> None:
        self.mark, self.killed = b"\0", 0
        self.process: asyncio.subprocess.Process | None = None
        on.change = self._change

    def _change(self, data: bytes) -> bytes:
        if self.mark in data and self.process is not None:
            for one in psutil.Process(self.process.pid).children(recursive=True):
                try:
                    if "ray::ShardActor" in " ".join(one.cmdline()):
                        one.kill()
                        self.killed += 1
                except psutil.Error:
                    continue
        return data


def spec_of(rig: ScorerRig, **options: Any) -> pb.ScoringSpec:
    # One worker: nobody else's shard is lost with it.
    return rig.spec(options=pb.ScoringOptions(shard_rows=ROWS, workers=1, **options))


async def test_a_shard_that_kills_its_worker_each_time_is_named_after_all_others_are_done(scoring: ScorerRig):
    for at, name in enumerate(("a", "b-poison", "c")):
        scoring.put(f"in/{name}.parquet", parquet(features(ROWS, seed=at)))
    store = scoring.environment["SCORER_S3_ENDPOINT"]
    async with Forwarder.before(store) as s3:
        killer = Killer(s3)
        async with scorer(scoring, {"SCORER_S3_ENDPOINT": s3.url(store)}) as (process, stub):
            killer.process, killer.mark = process, b"/in/b-poison.parquet"
            job = await over(stub, (await created(stub, spec_of(scoring, batch_rows=100))).name, within=300)
            assert (job.state, job.failure) == (pb.ScoringJob.STATE_FAILED, "WORKER_LOST"), job.reason
            assert "in/b-poison.parquet was lost 3 times" in job.reason
            assert (job.progress.shards_done, killer.killed) == (2, 3)
            assert not [name for name in scoring.objects(job.output_uri) if name.startswith("_manifest")]

            # The shard on whose rows the batch size is measured.
            killer.mark, killer.killed = b"/in/a.parquet", 0
            measured = await over(stub, (await created(stub, spec_of(scoring))).name, within=300)
            assert (measured.state, measured.failure) == (pb.ScoringJob.STATE_FAILED, "WORKER_LOST"), measured.reason
            assert "in/a.parquet was lost 3 times" in measured.reason
            assert killer.killed == 3

            killer.process = None
            for failed in (job, measured):
                await stub.RetryScoringJob(pb.RetryScoringJobRequest(name=failed.name), timeout=10)
                again = await over(stub, failed.name, within=300)
                assert again.state == pb.ScoringJob.STATE_SUCCEEDED, again.reason
                assert again.manifest.rows_out == 3 * ROWS
