"""`kill -9` of parts of a stack in use: nobody notices while anything else can answer, and nothing written is lost."""

import time
from pathlib import Path

import pytest

from tests.kit import parts
from tests.kit.stack import RunningStack
from tests.kit.trouble import in_use

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

ONE_OF_EACH = ("registry", "router-control", "router-data", "batcher-default")
STORES = ("postgres", "s3", "valkey")


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(ONE_OF_EACH, id="one of each service at once"),
        pytest.param((*STORES, "triton"), id="every store and a Triton at once"),
        *(pytest.param((part,), id=part, marks=pytest.mark.long) for part in (*ONE_OF_EACH, *STORES, "triton")),
    ],
)
async def test_what_is_killed_costs_no_prediction_and_no_acknowledged_write(
    replicated_stack: RunningStack, tmp_path: Path, killed: tuple[str, ...]
):
    async with in_use(replicated_stack, tmp_path) as scene:
        were = {part: parts.kill(replicated_stack, part) for part in killed}
        for part, was in were.items():
            await parts.back(replicated_stack, part, was)
        await scene.well_again()
        assert scene.restarted() == {part for part in killed if part != "triton"}
    assert await scene.complaints() == []


async def test_a_killed_front_door_is_back_soon_and_only_callers_of_that_moment_notice(
    replicated_stack: RunningStack, tmp_path: Path
):
    async with in_use(replicated_stack, tmp_path) as scene:
        began = time.monotonic()
        was = parts.kill(replicated_stack, "envoy")
        await parts.back(replicated_stack, "envoy", was)
        answered_again = await scene.load.steady()
        await scene.well_again()
        assert scene.restarted() == set(), "its launcher starts it again, from the configuration that is there"
    assert scene.load.failures()
    assert await scene.complaints(excused=(began, answered_again)) == []
