"""Jobs whose stores or registry are cut off or frozen at every stage: each waits, goes on, and has the same results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.errors import DeadlineExceeded, Internal, ResourceExhausted
from headrace_servicekit.testing import eventually

from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.scorer.service import OVER, ScorerRig, created, done, features, parquet, scorer
from tests.kit.wire.failpoints import Failpoint
from tests.kit.wire.forwarder import Forwarder

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(900)]

SHARDS, SHARD_ROWS = 3, 1000
LIST, FILE, BLOB = b"list-type=2", b"/in/a.parquet", b"/blobs/sha256/"
# What passes on the way to S3 at each stage. The first list and file are of the check before the job is created.
S3_STAGES = {
    "listing the input": (LIST, FILE, LIST),
    "reading footers": (LIST, FILE, LIST, FILE),
    "fetching the model": (BLOB,),
    "reading rows": (BLOB, FILE),
    "writing results": (b"/part-00001", b"PUT /"),
    "writing the manifest": (b"/_manifest.json",),
}
COMMIT = b"COMMIT"
POSTGRES_STAGES = {
    "beginning": (b'"state":"planning"', COMMIT),
    "keeping the plan": (b'"state":"running"', COMMIT),
    "keeping a result": (b'"rejected_sha256"', COMMIT),
    "committing": (b'"state":"succeeded"', COMMIT),
}
# Longer than S3's clients and the database's take to give a connection up at least once, or a lease to expire.
CUT_S, FROZEN_S = 2.0, 14.0
HOWS: dict[str, tuple[Callable[[Forwarder], None], float]] = {
    "cut": (Forwarder.cut, CUT_S),
    "frozen": (Forwarder.freeze, FROZEN_S),
    "lost": (Forwarder.lose, 0.0),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A scorer behind forwarders, and what an undisturbed job wrote."""

    rig: ScorerRig
    stub: Any
    s3: Forwarder
    postgres: Forwarder
    registry: Forwarder
    expected: dict[str, bytes]

    async def same(self, job: pb.ScoringJob) -> None:
        """Assert that a job comes to its end with the results of an undisturbed one."""
        job = await ended(self.stub, job.name)
        assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
        assert job.manifest.rows_in == job.manifest.rows_out == SHARDS * SHARD_ROWS
        assert parts(self.rig, job.output_uri) == self.expected


async def ended(stub: Any, name: str) -> pb.ScoringJob:
    """Return a job once it is over, through calls that fail meanwhile."""
    found: list[pb.ScoringJob] = []

    async def over() -> bool:
        try:
            found[:] = [(await stub.GetScoringJob(pb.GetScoringJobRequest(name=name), timeout=10)).job]
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return found[0].state in OVER

    await eventually(over, within=240, every=0.2)
    return found[0]


def parts(rig: ScorerRig, uri: str) -> dict[str, bytes]:
    return {name: content for name, content in rig.objects(uri).items() if name.startswith("part-")}


def spec_of(rig: ScorerRig) -> pb.ScoringSpec:
    return rig.spec(options=pb.ScoringOptions(shard_rows=SHARD_ROWS, batch_rows=500))


@asynccontextmanager
async def scene(rig: ScorerRig) -> AsyncIterator[Scene]:
    """Run a scorer whose stores and registry are reached through forwarders, and a job that nothing disturbs."""
    rig.put("in/a.parquet", parquet(features(SHARDS * SHARD_ROWS), group_rows=SHARD_ROWS))
    database, store = rig.environment["SCORER_DATABASE_URL"], rig.environment["SCORER_S3_ENDPOINT"]
    registry = f"grpc://{rig.environment['SCORER_REGISTRY_TARGET']}"
    async with (
        Forwarder.before(store) as to_s3,
        Forwarder.before(database) as to_postgres,
        Forwarder.before(registry) as to_registry,
    ):
        through = {
            "SCORER_S3_ENDPOINT": to_s3.url(store),
            "SCORER_DATABASE_URL": to_postgres.url(database),
            "SCORER_REGISTRY_TARGET": f"127.0.0.1:{to_registry.port}",
        }
        async with scorer(rig, through) as (_, stub):
            first = await done(stub, (await created(stub, spec_of(rig))).name, SHARDS + 1)
            assert first.state == pb.ScoringJob.STATE_SUCCEEDED, first.reason
            yield Scene(rig, stub, to_s3, to_postgres, to_registry, parts(rig, first.output_uri))


@pytest.mark.parametrize("how", HOWS)
async def test_s3_that_is_away_at_any_stage_of_a_job_costs_time_and_nothing_else(scoring: ScorerRig, how: str):
    strike, after_s = HOWS[how]
    async with scene(scoring) as there:
        for marks in S3_STAGES.values():
            point = Failpoint(there.s3, marks, lambda: strike(there.s3), there.s3.mend, after_s=after_s)
            job = await created(there.stub, spec_of(scoring))
            await point.struck()
            await there.same(job)


@pytest.mark.parametrize("how", HOWS)
async def test_postgresql_that_is_away_at_any_stage_of_a_job_costs_time_and_nothing_else(scoring: ScorerRig, how: str):
    strike, after_s = HOWS[how]
    async with scene(scoring) as there:
        for marks in POSTGRES_STAGES.values():
            point = Failpoint(
                there.postgres, marks, lambda: strike(there.postgres), there.postgres.mend, after_s=after_s
            )
            job = await created(there.stub, spec_of(scoring))
            await point.struck()
            await there.same(job)


async def test_while_the_registry_is_away_a_job_waits_and_says_so(scoring: ScorerRig):
    async with scene(scoring) as there:
        for strike in (there.registry.cut, there.registry.freeze):
            point = Failpoint(there.s3, S3_STAGES["listing the input"], strike, lambda: None, after_s=0)
            job = await created(there.stub, spec_of(scoring))
            await point.struck()

            async def waits(name: str = job.name) -> bool:
                found = await there.stub.GetScoringJob(pb.GetScoringJobRequest(name=name), timeout=10)
                return found.job.reason.startswith("waits: ")

            await eventually(waits, within=60)
            there.registry.mend()
            await there.same(job)


async def test_a_registry_that_is_too_busy_to_answer_is_waited_for(scoring: ScorerRig):
    scoring.put("in/a.parquet", parquet(features(SHARD_ROWS)))
    with FrontDoor.serving(scoring.registry) as door:
        async with scorer(scoring, {"SCORER_REGISTRY_TARGET": door.address}) as (_, stub):
            job = await created(stub, spec_of(scoring))
            # More often than a process may be lost.
            for error in (ResourceExhausted("too many calls"), DeadlineExceeded("too slow"), Internal("broken")):
                door.fail("HoldVersion", error, times=2)
            job = await done(stub, job.name, 2, within=180)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
