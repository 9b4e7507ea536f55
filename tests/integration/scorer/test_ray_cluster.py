"""Jobs on a Ray cluster that is there already, by its address: machines come, go and are too few."""

from __future__ import annotations

import psutil
import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.scorer.ray_cluster import ray_cluster
from tests.kit.scorer.service import ScorerRig, created, done, over, scorer
from tests.kit.scorer.stopped_jobs import SHARD_ROWS, SHARDS, slow_job

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(900)]


def parts(rig: ScorerRig, uri: str) -> dict[str, bytes]:
    return {name: content for name, content in rig.objects(uri).items() if name.startswith("part-")}


def actors_below(pid: int) -> int:
    found = psutil.Process(pid).children(recursive=True)
    return sum("ray::ShardActor" in " ".join(one.cmdline()) for one in found if one.status() != "zombie")


async def test_a_cluster_that_loses_a_machine_scores_on_and_one_without_room_is_waited_for(scoring: ScorerRig):
    spec = slow_job(scoring)
    # More than the cluster has: who finds no processor must not keep a shard to itself.
    spec.options.workers = 4
    async with ray_cluster() as cluster:
        await cluster.head(1)
        machine = await cluster.machine(1)
        told = {"SCORER_RAY_ADDRESS": cluster.address, "SCORER_MAX_WORKERS": "4", **cluster.access}
        async with scorer(scoring, told) as (process, stub):
            undisturbed = await over(stub, (await created(stub, spec)).name)
            assert undisturbed.state == pb.ScoringJob.STATE_SUCCEEDED, undisturbed.reason

            job = await created(stub, spec)
            await done(stub, job.name, 2)
            assert actors_below(machine.pid) == 1
            # The scorer starts no Ray of its own.
            assert not any("raylet" in one.name() for one in psutil.Process(process.pid).children(recursive=True))
            cluster.kill(machine)
            job = await over(stub, job.name, within=300)
            assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
            assert job.manifest.rows_out == SHARDS * SHARD_ROWS
            assert parts(scoring, job.output_uri) == parts(scoring, undisturbed.output_uri)

            # Without its head there is no cluster.
            cluster.kill(cluster.nodes[0])
            job = await created(stub, spec)

            async def waits() -> bool:
                found = (await stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=10)).job
                return found.reason.startswith("waits: Ray")

            await eventually(waits, within=120)
            await cluster.head(2)
            job = await over(stub, job.name, within=300)
            assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
            await eventually(lambda: actors_below(cluster.nodes[-1].pid) == 0, within=60)
