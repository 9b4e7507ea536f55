"""Holds of versions, renewed for as long as their jobs are not over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace_scorer.decisions.jobs import Job, State, Version
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.peers import FIRST_HOLD, HOLD
from headrace_scorer.version_holds import HOLD_EVERY_S, Holding
from headrace_servicekit.errors import NotFound

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)


class Parts:
    """A store of three jobs that are not over, and a registry that lacks the version of the first."""

    def __init__(self) -> None:
        self.held: list[int] = []

    async def not_over(self) -> list[Job]:
        version, at = Version("v1", "d1", "sha", 1, ""), Location("t", "in")
        states = (State.QUEUED, State.PAUSED, State.RUNNING)
        return [Job(id_, "fraud", Spec(at), version, at, "ada", BEGIN, state) for id_, state in enumerate(states)]

    async def hold(self, job: Job, ttl: timedelta) -> None:
        assert ttl == HOLD
        if job.id == 0:
            raise NotFound("version v1 is gone", reason="VERSION_NOT_FOUND")
        self.held.append(job.id)


async def test_versions_of_jobs_that_wait_are_paused_or_run_stay_held():
    parts: Any = Parts()
    await Holding(parts, parts).renew()
    assert parts.held == [1, 2]
    assert HOLD.total_seconds() > HOLD_EVERY_S * 10


def test_the_hold_of_a_job_that_was_never_stored_ends_soon_and_that_of_one_that_was_is_renewed_before():
    assert HOLD_EVERY_S * 2 <= FIRST_HOLD.total_seconds() <= 900
