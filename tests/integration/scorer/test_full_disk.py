"""A work folder without room: a job says so, and goes on once there is some."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually

from tests.kit.scorer.service import OVER, ScorerRig, created, features, over, parquet, scorer
from tests.kit.wire.failpoints import Failpoint
from tests.kit.wire.forwarder import Forwarder

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

ROWS = 20_000


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a file system of its own; its path is short, for that of Ray's sockets is limited."""
    folder = Path(mkdtemp(prefix="hr-", dir="/tmp"))
    mount = ("mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "headrace-test", str(folder))
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        # Lazily: Ray lets go of it a moment after its last process.
        subprocess.run(("umount", "--lazy", str(folder)), check=True)
        folder.rmdir()


def fill(path: Path) -> None:
    """Write until there is no room for a byte."""
    size = 1 << 20
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


async def test_a_work_folder_without_room_is_named_and_a_job_goes_on_once_there_is_some(
    scoring: ScorerRig, small_disk: Path
):
    scoring.put("in/a.parquet", parquet(features(ROWS)))
    store, ballast = scoring.environment["SCORER_S3_ENDPOINT"], small_disk / "ballast"
    spec = scoring.spec(options=pb.ScoringOptions(shard_rows=10_000, batch_rows=500))
    async with Forwarder.before(store) as s3:
        told = {"SCORER_S3_ENDPOINT": s3.url(store), "SCORER_WORK_DIR": str(small_disk)}
        async with scorer(scoring, told) as (_, stub):
            fill(ballast)
            job = await created(stub, spec)

            async def said() -> bool:
                found = (await stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=10)).job
                waits = found.reason.startswith("waits: ") or found.state in OVER
                return waits and "No space left on device" in found.reason

            await eventually(said, within=120)
            ballast.unlink()
            found = (await stub.GetScoringJob(pb.GetScoringJobRequest(name=job.name), timeout=10)).job
            if found.state == pb.ScoringJob.STATE_FAILED:
                assert found.failure == "DISK_FULL"
                await stub.RetryScoringJob(pb.RetryScoringJobRequest(name=job.name), timeout=10)
            undisturbed = await over(stub, job.name, within=240)
            assert undisturbed.state == pb.ScoringJob.STATE_SUCCEEDED, undisturbed.reason

            # While rows are read, and before any result is written.
            point = Failpoint(s3, (b"/blobs/sha256/", b"/in/a"), lambda: fill(ballast), lambda: None, after_s=0)
            job = await created(stub, spec)
            await point.struck()
            job = await over(stub, job.name, within=120)
            assert (job.state, job.failure) == (pb.ScoringJob.STATE_FAILED, "DISK_FULL"), job.reason
            assert "give the scorer's work folder" in job.reason
            ballast.unlink()
            await stub.RetryScoringJob(pb.RetryScoringJobRequest(name=job.name), timeout=10)
            job = await over(stub, job.name, within=240)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert scoring.scored(job.output_uri) == scoring.scored(undisturbed.output_uri)
