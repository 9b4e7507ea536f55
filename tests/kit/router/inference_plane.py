"""A data plane whose versions have numbers for names, as clients of the Open Inference Protocol expect them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from headrace.router.v1.client_limits_pb2 import RateLimit

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import FakeControl, resolved_version, table

ONE, TWO = resolved_version("digits", "1"), resolved_version("digits", "2")


@contextlib.asynccontextmanager
async def inference_plane(
    batcher: FakeBatcher, state_dir: Path, *, rate_limits: Sequence[RateLimit] = (), **settings: Any
) -> AsyncIterator[DataPlane]:
    """Run one that leads everybody to version 1 of digits, and has a model `idle` that nothing serves.

    settings: fields of DataSettings.
    """
    async with FakeControl.serving() as control:
        control.put_table(table("digits", [ONE, TWO], shares={"1": 1.0}))
        control.put_not_serving("idle")
        control.put_rate_limits(*rate_limits)
        async with data_plane(control.target, {"default": [batcher.target]}, state_dir, **settings) as plane:
            yield plane
