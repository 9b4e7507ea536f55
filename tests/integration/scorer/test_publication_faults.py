"""Publications that are disturbed at every stage: nothing is lost, nothing twice, and nothing half counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from headrace_servicekit.testing import free_port

from tests.kit.router.fake_precomputed import STAGES, PublishRouter
from tests.kit.scorer.service import ScorerRig, features, parquet
from tests.kit.scorer.stopped_publications import (
    ROWS,
    Stage,
    begin,
    published,
    publisher,
    reverted,
    scored,
    whole_and_once,
)
from tests.kit.wire.forwarder import Forwarder

# Longer than the router's clients take to notice that it is frozen, and than a publication's lease lasts.
AWAY_S, FROZEN_S = 4.0, 14.0
HOWS: dict[str, tuple[Callable[[Forwarder], None], float]] = {
    "cut": (Forwarder.cut, AWAY_S),
    "frozen": (Forwarder.freeze, FROZEN_S),
}


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_a_scorer_that_is_killed_at_any_stage_of_publishing_leaves_one_whole_generation(scoring: ScorerRig):
    scoring.put("in/a.parquet", parquet(features(ROWS)))
    control = free_port()
    router = PublishRouter(scoring.model.contract.outputs)
    environment = {**scoring.environment, "SCORER_CONTROL_TARGET": f"127.0.0.1:{control}"}
    with router.there(control):
        async with publisher(environment) as (_, jobs, _publications):
            job = await scored(scoring, jobs)
        for stage in STAGES:
            stopped = Stage(router, stage)
            async with publisher(environment) as (process, _, publications):
                await begin(publications, job)
                await stopped.reached()
                process.kill()
                await process.wait()
                stopped.go_on()
            async with publisher(environment) as (_, _, publications):
                whole_and_once(router, await published(publications, job))
                await reverted(publications, job)
            assert not router.in_force, stage


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("what", ["the router", "S3", "PostgreSQL"])
async def test_whatever_is_away_at_any_stage_of_publishing_one_whole_generation_comes_of_it(
    scoring: ScorerRig, what: str, how: str
):
    scoring.put("in/a.parquet", parquet(features(ROWS)))
    control, (strike, away_s) = free_port(), HOWS[how]
    router = PublishRouter(scoring.model.contract.outputs)
    database, store = scoring.environment["SCORER_DATABASE_URL"], scoring.environment["SCORER_S3_ENDPOINT"]
    async with (
        Forwarder.before(store) as s3,
        Forwarder.before(database) as postgres,
        Forwarder("127.0.0.1", control) as to_router,
    ):
        victim = {"the router": to_router, "S3": s3, "PostgreSQL": postgres}[what]
        environment = {
            **scoring.environment,
            "SCORER_CONTROL_TARGET": f"127.0.0.1:{to_router.port}",
            "SCORER_S3_ENDPOINT": s3.url(store),
            "SCORER_DATABASE_URL": postgres.url(database),
        }
        with router.there(control):
            async with publisher(environment) as (_, jobs, publications):
                job = await scored(scoring, jobs)
                for stage in STAGES:
                    stopped = Stage(router, stage)
                    await begin(publications, job)
                    await stopped.reached()
                    strike(victim)
                    # What the router was about to answer is lost on its way, where the router is what is away.
                    stopped.go_on()
                    await asyncio.sleep(away_s)  # for as long as it is away
                    victim.mend()
                    whole_and_once(router, await published(publications, job))
                    await reverted(publications, job)
                    assert not router.in_force, stage
