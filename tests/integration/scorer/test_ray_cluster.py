"""Jobs on a Ray cluster that is there already, named by its address."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_servicekit.testing import eventually, free_port

from tests.kit.commands import PYTHON
from tests.kit.scoring import ScorerRig, created, features, over, parquet, scorer

ROWS = 3000


@asynccontextmanager
async def cluster(folder: Path, token: str) -> AsyncIterator[str]:
    """Run a head of Ray on loopback until the block ends; yields its address."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }
    command = (
        *(*PYTHON[:-1], "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"),
        *(f"--port={port}", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={folder}"),
        f"--object-store-memory={100 * 2**20}",
    )
    with (folder / "log").open("w+b") as log:
        head = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            await eventually(lambda: b"Ray runtime started" in (folder / "log").read_bytes(), within=120, every=0.5)
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(head.pid, signal.SIGKILL)
            await head.wait()


async def scored(scoring: ScorerRig, more: Mapping[str, str]) -> dict[str, bytes]:
    """Score the input, and return the files of results."""
    async with scorer(scoring, more) as (_, stub):
        job = await over(stub, (await created(stub, scoring.spec())).name, within=400)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert job.manifest.rows_out == ROWS
    return {name: content for name, content in scoring.objects(job.output_uri).items() if name.startswith("part-")}


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_cluster_by_its_address_gives_the_same_bytes_as_a_ray_of_the_scorers_own(
    scoring: ScorerRig, tmp_path_factory: pytest.TempPathFactory
):
    scoring.put("in/a.parquet", parquet(features(ROWS), group_rows=1000))
    token, folder = secrets.token_hex(32), tmp_path_factory.mktemp("r")
    own = await scored(scoring, {})
    async with cluster(folder, token) as address:
        told = {"SCORER_RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        assert await scored(scoring, told) == own
