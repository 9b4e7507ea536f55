"""Promotions, rollbacks and splits under load, on a stack of two of everything: no caller notices, none is misled."""

from pathlib import Path
from random import Random

import pytest

from tests.kit.stack.guarantees import broken
from tests.kit.stack.load import Load
from tests.kit.stack.operator import Operator, plan
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import VERSIONS

# A stack of their own.
pytestmark = pytest.mark.long

RATE = 100.0


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(50, 20_250_117, id="50"),
        pytest.param(500, 3, id="500", marks=[pytest.mark.faults, pytest.mark.timeout(600)]),
    ],
)
async def test_operations_in_random_order_under_load_break_no_promise(
    replicated_stack: RunningStack, tmp_path: Path, count: int, seed: int
):
    async with Operator.of(replicated_stack, f"operations-{count}", tmp_path) as operator:
        for version, file in VERSIONS.items():
            await operator.register(version, file)
        await operator.promote("v1")
        async with Load.running(replicated_stack, operator.model, VERSIONS, rate=RATE) as load:
            await load.steady()
            for planned in plan(count, list(VERSIONS), Random(seed)):
                await operator.do(planned)
            await load.goes_on(0.5)
        assert [str(one) for one in broken(operator.log, load.exchanges)[:10]] == []
        assert [one for one in operator.log if one.unacknowledged] == []
        assert {one.version for one in load.exchanges} == set(VERSIONS)
