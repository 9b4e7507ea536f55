"""Publications that a test stops at a stage: a scorer, the router in memory, and what has to come of both."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from headrace.scorer.v1 import publications_pb2 as pb
from headrace.scorer.v1 import publications_pb2_grpc, scorer_pb2, scorer_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.kit.router.fake_precomputed import PublishRouter
from tests.kit.scorer.service import ScorerRig, created, over
from tests.kit.stack.service_process import service_process

ROWS = 300
ENTITIES = [f"u{at}" for at in range(ROWS)]
PUBLISHED = pb.ScoringPublication.STATE_PUBLISHED


class Stage:
    """Stops the router's answer when a publish first comes to a stage, until the test has done its worst."""

    def __init__(self, router: PublishRouter, stage: str) -> None:
        self._stage, self._reached, self._go_on = stage, threading.Event(), threading.Event()
        router.at = self._at

    def _at(self, stage: str) -> None:
        if stage == self._stage and not self._reached.is_set():
            self._reached.set()
            self._go_on.wait(timeout=120)

    async def reached(self) -> None:
        await eventually(self._reached.is_set, within=180)

    def go_on(self) -> None:
        self._go_on.set()


@asynccontextmanager
async def publisher(environment: dict[str, str]) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Run a scorer; yields its process, and stubs for jobs and publications."""
    port = free_port()
    told = {**environment, "SCORER_PORT": str(port)}
    async with service_process("headrace_scorer", told, port, parts=("", "postgres")) as (process, channel):
        jobs = scorer_pb2_grpc.ScorerServiceStub(channel)
        yield process, jobs, publications_pb2_grpc.ScoringPublicationServiceStub(channel)


async def scored(scoring: ScorerRig, jobs: Any) -> str:
    """Return the name of a job that is done."""
    job = await over(jobs, (await created(jobs, scoring.spec())).name, within=400)
    assert job.state == scorer_pb2.ScoringJob.STATE_SUCCEEDED, job.reason
    return job.name


async def begin(publications: Any, job: str) -> None:
    how = scorer_pb2.Publishing(entity_column="id", parity_rows=0, drift_tolerance=0)
    await publications.PublishScoringJob(pb.PublishScoringJobRequest(name=job, publishing=how), timeout=10)


async def published(publications: Any, job: str) -> pb.ScoringPublication:
    """Return a publication once it counts, through whatever calls fail meanwhile."""
    found: list[pb.ScoringPublication] = []

    async def there() -> bool:
        request = pb.GetScoringPublicationRequest(name=f"{job}/publication")
        try:
            found[:] = [(await publications.GetScoringPublication(request, timeout=5)).publication]
        except Exception:  # the database may be away
            return False
        assert found[0].state != pb.ScoringPublication.STATE_FAILED, found[0].reason
        return found[0].state == PUBLISHED

    await eventually(there, within=240, every=0.2)
    return found[0]


async def reverted(publications: Any, job: str) -> None:
    """Take a publication back; the connection to a router that was away may take a moment to be there again."""
    request = pb.RevertScoringPublicationRequest(name=f"{job}/publication")

    async def done() -> bool:
        try:
            await publications.RevertScoringPublication(request, timeout=20)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
        return True

    await eventually(done, within=60, every=0.5)


def whole_and_once(router: PublishRouter, publication: pb.ScoringPublication) -> None:
    """Assert that exactly one generation counts, that it is whole, and that it is the one that is told."""
    (counts,) = router.in_force
    assert counts.entities == ENTITIES
    assert publication.publish.endswith(f"/publishes/{counts.number}")
    assert publication.entities == ROWS
