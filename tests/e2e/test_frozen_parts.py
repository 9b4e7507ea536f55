"""SIGSTOP and SIGCONT of parts of a stack in use: what hangs costs callers no more than what has died."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import in_use

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

STORES = ("postgres", "s3", "valkey")
BEHIND = ("registry", "router-control", *STORES)
# Longer than a request may take: nobody is answered by waiting for the end.
DEADLINE_S, FROZEN_S = 8.0, 10.0
# HTTP/1.1 has no pings: what waits on a data plane that hangs waits for its deadline (decision 93).
NO_REST = 0


@pytest.mark.parametrize(
    "frozen",
    [
        pytest.param(("router-data", *BEHIND), id="a data plane and everything that no prediction asks, at once"),
        pytest.param(("batcher-default",), id="batcher-default"),
        *(pytest.param((part,), id=part, marks=pytest.mark.long) for part in ("router-data", *BEHIND)),
    ],
)
async def test_what_is_frozen_costs_no_prediction_and_no_acknowledged_write(
    replicated_stack: RunningStack, tmp_path: Path, frozen: tuple[str, ...]
):
    async with in_use(replicated_stack, tmp_path, deadline_s=DEADLINE_S, rest_one_in=NO_REST) as scene:
        with processes.frozen(replicated_stack, *frozen):
            await asyncio.sleep(FROZEN_S)
        await scene.well_again()
        assert scene.restarted() == set()
    assert await scene.complaints() == []


async def test_a_frozen_triton_costs_only_what_it_was_executing(replicated_stack: RunningStack, tmp_path: Path):
    async with in_use(replicated_stack, tmp_path, deadline_s=DEADLINE_S) as scene:
        began = time.monotonic()
        with processes.frozen(replicated_stack, "triton"):
            await asyncio.sleep(FROZEN_S)
        await scene.well_again()
        assert scene.restarted() == set()
    # An input may be why it hangs: what executes is tried nowhere else while that can be.
    assert await scene.complaints(excused=(began, began + 1.0)) == []
    assert len(scene.load.failures()) <= 2 * 32


async def test_a_frozen_front_door_goes_on_where_it_stopped(replicated_stack: RunningStack, tmp_path: Path):
    async with in_use(replicated_stack, tmp_path, deadline_s=DEADLINE_S) as scene:
        began = time.monotonic()
        with processes.frozen(replicated_stack, "front-door"):
            await asyncio.sleep(2.0)
        answered_again = await scene.load.steady()
        await scene.well_again()
        assert scene.restarted() == set()
    assert await scene.complaints(excused=(began, answered_again)) == []
