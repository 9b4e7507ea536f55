"""A data plane whose control plane is out of reach, among callers of it and of another: it goes on, and is named."""

import time
from pathlib import Path

import pytest
from headrace_servicekit.testing import eventually
from headrace_stack.ports import HOST

from tests.kit.router.data_plane import data_plane
from tests.kit.stack.guarantees import broken
from tests.kit.stack.load import Load
from tests.kit.stack.running import RunningStack
from tests.kit.stack.under_load import RATE, VERSIONS, in_use
from tests.kit.wire.forwarder import Forwarder

pytestmark = pytest.mark.faults

FAR = "data-far"


@pytest.mark.parametrize(
    ("seconds", "versions"),
    [
        pytest.param(6.0, ("v2",), id="some seconds", marks=pytest.mark.timeout(240)),
        pytest.param(60.0, ("v2", "v1", "v2"), id="a minute", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
    ],
)
async def test_it_answers_by_the_table_that_it_has_until_it_hears_of_the_next(
    own_stack: RunningStack, tmp_path: Path, seconds: float, versions: tuple[str, ...]
):
    ports = own_stack.settings.ports
    async with (
        Forwarder(HOST, ports.router_control.number) as control,
        data_plane(f"{HOST}:{control.port}", {"default": [ports.batcher.address]}, tmp_path / "data", id=FAR) as far,
        in_use(own_stack, tmp_path) as scene,
        Load.running(
            own_stack, scene.operator.model, VERSIONS, rate=RATE, rest_one_in=0, address=far.runtime.servers[0].address
        ) as load,
    ):
        await load.steady()
        control.freeze()  # as a network does that loses everything: nobody is told
        began = time.monotonic()
        for version in versions:
            done = await scene.operator.promote(version)
            assert done.unacknowledged == (FAR,)
        during = await load.goes_on(max(1.0, began + seconds - time.monotonic()))
        assert {one.version for one in during} == {"v1"}
        control.mend()

        async def all_have_acknowledged() -> bool:
            route = await scene.operator.client.routes.get(scene.operator.model)
            return not route.status.unacknowledged_data_planes

        await eventually(all_have_acknowledged, within=30, every=0.1)
        after = await load.goes_on(0.5)
        assert {one.version for one in after} == {"v2"}
        assert (await scene.operator.promote("v3")).acknowledged
        await load.goes_on(0.5)
        assert scene.restarted() == set()
    assert await scene.complaints() == []
    assert [str(one) for one in broken(scene.operator.log, load.exchanges)[:10]] == []
