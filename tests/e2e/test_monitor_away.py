"""The monitor is killed while predictions are made: no caller notices, and none of them goes uncounted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.snapshot import State

from tests.kit import onnx_models
from tests.kit.load import Load
from tests.kit.operations import Operator
from tests.kit.stack import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

VERSION = onnx_models.linear(seed=1)


async def test_a_killed_monitor_costs_no_prediction_and_counts_all_of_them_when_it_is_back(
    own_stack: RunningStack, tmp_path: Path
):
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with Operator.of(own_stack, "watched", tmp_path) as operator:
        await operator.register("v1", VERSION)
        await operator.promote("v1")
        async with Load.running(own_stack, "watched", {"v1": VERSION}, rate=50) as load:
            await load.steady()
            await load.goes_on(2.0)
            own_stack.kill("monitor")
            await load.goes_on(4.0)
        assert load.failures() == []
        answered = len(load.exchanges)
        await eventually(lambda: own_stack.status("monitor").state is State.READY, within=60, every=0.1)

        async def counted() -> int:
            told = await operator.client.traffic("watched", start=began)
            return sum(one.count for one in told.traffic)

        async def all_are() -> bool:
            return await counted() >= answered

        await eventually(all_are, within=60, every=0.5)
        assert await counted() == answered
        assert own_stack.status("monitor").restarts == 1
