"""Two data planes on one Valkey, under a route that sends every other unit to either version."""

import pytest

from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import FakeControl, table


@pytest.fixture
async def control():
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [V1, V2], shares={"v1": 0.5, "v2": 0.5}))
        yield control


@pytest.fixture
async def plane(control, batcher, valkey_url, tmp_path):
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path, valkey_url=valkey_url, id="data-0") as plane:
        yield plane


@pytest.fixture
async def other_plane(control, batcher, valkey_url, tmp_path):
    pools = {"default": [batcher.target]}
    async with data_plane(control.target, pools, tmp_path / "other", valkey_url=valkey_url, id="data-1") as plane:
        yield plane
