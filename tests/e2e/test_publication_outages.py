"""Jobs and publications on the whole stack while what they need is killed or frozen: late at most, and whole."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from headrace.scorer.v1 import scorer_pb2
from headrace_client import Client
from headrace_client.errors import Unavailable

from tests.kit.clients.headrace_cli import Headrace, own_model
from tests.kit.scorer.publications import Publication, job_of, over, put, served
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(600)]

USERS = 20_000
# Longer than a publication's lease lasts.
FROZEN_S = 14.0
RUNNING = (scorer_pb2.ScoringJob.STATE_RUNNING, scorer_pb2.ScoringJob.STATE_SUCCEEDED)


def begun(client: Client, job: str) -> bool:
    """Return whether shards of a job are scored."""
    return client.jobs.get(job).state in RUNNING


def checked(client: Client, job: str) -> bool:
    """Return whether the sample of a publication is compared, or was."""
    ready = client.jobs.get(job).state == scorer_pb2.ScoringJob.STATE_SUCCEEDED
    return ready and client.publications.get(job).state != Publication.STATE_UNSPECIFIED


def uploading(client: Client, job: str) -> bool:
    """Return whether answers are uploaded, or were."""
    later = (Publication.STATE_PUBLISHING, Publication.STATE_PUBLISHED)
    return checked(client, job) and client.publications.get(job).state in later


@pytest.mark.parametrize("part", ["router-control", "router-data", "valkey", "s3", "postgres", "registry"])
async def test_what_is_killed_or_frozen_while_a_job_is_scored_and_published_delays_it_and_harms_nothing(
    replicated_stack: RunningStack, tmp_path: Path, request: pytest.FixtureRequest, part: str
):
    headrace = Headrace(replicated_stack, tmp_path, own_model(request.node.nodeid))
    headrace.two_versions(production="v1")
    uri = put(headrace, "users", range(USERS), seed=1)
    with Client(replicated_stack.url, token=replicated_stack.token()) as client:
        for stage, frozen in ((begun, False), (checked, True), (uploading, False), (uploading, True)):
            job = client.jobs.create(headrace.model, job_of(uri)).name
            until = time.monotonic() + 120
            while not stage(client, job):
                assert time.monotonic() < until, client.jobs.get(job)
                await asyncio.sleep(0.02)  # between two looks
            if frozen:
                with processes.frozen(replicated_stack, part):
                    await asyncio.sleep(FROZEN_S)  # for as long as it is away
            else:
                was = processes.kill(replicated_stack, part)
                await processes.back(replicated_stack, part, was)
            published = whole(client, job)
            assert published.state == Publication.STATE_PUBLISHED, (stage.__name__, frozen, published.reason)
            kept = headrace("precompute", "status", headrace.model)["answers"][0]
            assert (kept["active"]["entity_count"], kept["active"]["name"]) == (str(USERS), published.publish)
            assert kept.get("open", []) == []
        assert served(headrace, f"u{USERS - 1}")[0] == "precomputed"


def whole(client: Client, job: str) -> Publication:
    """Return the publication of a job once both are over, through calls that fail meanwhile."""
    until = time.monotonic() + 180
    while True:
        try:
            if client.jobs.get(job).state == scorer_pb2.ScoringJob.STATE_SUCCEEDED:
                return over(client, job, within=180)
        except Unavailable:
            pass
        assert time.monotonic() < until, client.jobs.get(job)
        time.sleep(0.5)
