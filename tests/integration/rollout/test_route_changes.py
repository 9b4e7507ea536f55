"""What a route was before an experiment is one row, until the experiment runs or the route was given back."""

from __future__ import annotations

import pytest
from headrace_rollout.route_changes import RouteChanges
from headrace_rollout.store import database
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.testing import eventually

NAME = "models/shop/experiments/ranking"
BEFORE = '{"name": "routes/shop"}'


async def test_a_start_that_fails_is_undone_until_that_succeeds_and_one_that_succeeds_is_not(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        changes, restored = RouteChanges(connections), list[tuple[str, str]]()
        failing = True

        async def restore(experiment: str, before: str) -> None:
            if failing:
                raise Unavailable("no control plane")
            restored.append((experiment, before))

        claim = await changes.begin(NAME, BEFORE)
        await changes.work_off(restore)
        assert not restored, "a start in progress is left alone"
        await changes.end(NAME, claim)
        claim = await changes.begin(NAME, BEFORE)
        await changes.undo(NAME, claim)
        with pytest.raises(Unavailable, match="no control plane"):
            await changes.work_off(restore)
        failing = False

        async def is_restored() -> bool:
            await changes.work_off(restore)
            return bool(restored)

        await eventually(is_restored, within=30)
        await changes.work_off(restore)
        assert restored == [(NAME, BEFORE)]


async def test_of_two_starts_of_an_experiment_one_waits_and_what_was_before_the_first_stays(postgres_url: str):
    async with database(Address(postgres_url), 4) as connections:
        await connections.migrate()
        changes, seen = RouteChanges(connections), list[str]()

        async def restore(experiment: str, before: str) -> None:
            seen.append(before)

        first = await changes.begin(NAME, BEFORE)
        with pytest.raises(Unavailable) as refused:
            await changes.begin(NAME, "{}")
        assert refused.value.reason == "ROUTE_CHANGING"
        await changes.undo(NAME, first)
        second = await changes.begin(NAME, "{}")
        await changes.end(NAME, first)  # of a start whose claim has ended
        await changes.undo(NAME, second)
        await changes.work_off(restore)
        assert seen == [BEFORE]
