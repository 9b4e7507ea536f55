"""Memory of a real Triton and its models: counted, bounded, and given back by what nothing needs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from headrace.router.v1 import control_pb2
from headrace_batcher.loading.memory import held_bytes
from headrace_servicekit.testing import eventually, free_port

from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import SERVER, triton_pids

MIB = 1024 * 1024
ACTIVE = control_pb2.WantedVersion.NEED_ACTIVE
PENDING = control_pb2.WantedVersion.NEED_PENDING
REVERT = control_pb2.WantedVersion.NEED_REVERT


@dataclass(frozen=True, slots=True)
class Serving:
    """A batcher in a process of its own: what the one of the tests holds changes with the tests before."""

    rig: BatcherRig
    pid: int
    client: BatcherClient

    def used(self) -> int:
        return held_bytes(self.pid, os.getpgid(triton_pids(self.rig.models, SERVER)[0]))

    async def settled(self) -> int:
        """Return what is used once loading has given back what it needed for itself."""
        seen = [self.used()]

        async def as_before() -> bool:
            seen.append(self.used())
            return abs(seen[-1] - seen[-2]) < MIB

        await eventually(as_before, within=10, every=0.5)
        return seen[-1]


@asynccontextmanager
async def serving(rig: BatcherRig, log: Path, **changes: int) -> AsyncIterator[Serving]:
    port = free_port()
    async with process_of(rig, log, port=port, **changes) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            yield Serving(rig, process.pid, client)
        process.terminate()
        await process.wait()


@pytest.mark.long
async def test_above_its_limit_a_batcher_gives_up_rollbacks_first_then_fails_what_waits_and_never_what_is_warm(
    triton_rig: BatcherRig, tmp_path: Path
):
    small = await triton_rig.version("small", onnx_models.linear(4, 3))
    # 128 MiB of weights each: much beside what the batcher has itself.
    old, new, newer = [
        await triton_rig.version("large", onnx_models.linear(2048, 16384, seed=seed), f"v{seed}") for seed in (1, 2, 3)
    ]
    triton_rig.want(small)
    async with serving(triton_rig, tmp_path / "first.log") as batcher:
        await batcher.client.until_ready(small.digest)
        without = await batcher.settled()
        triton_rig.want(small, old)
        await batcher.client.until_ready(old.digest)
        each = await batcher.settled() - without
        assert each >= 128 * MIB
        triton_rig.want(small)
        await eventually(lambda: batcher.used() < without + each // 2, within=20)

    # Room for one large model, not for two. Half of one on either side is for what the tests beside this one change: a
    # library's pages count by how many processes have them.
    async with serving(triton_rig, tmp_path / "log", memory_limit_bytes=without + each * 3 // 2) as batcher:
        client, control = batcher.client, triton_rig.control
        await client.until_ready(small.digest)
        control.put_demand("default", [(small, ACTIVE), (old, REVERT)])
        await client.until_ready(old.digest)
        control.put_demand("default", [(small, ACTIVE), (new, PENDING), (old, REVERT)])
        await client.until_ready(new.digest)
        await eventually(lambda: old.digest not in client.versions, within=10)
        row = [np.zeros((1, 2048), dtype=np.float32)]
        assert outputs_of(await client.infer(new.digest, row))["scores"].shape == (1, 16384)
        control.put_demand("default", [(small, ACTIVE), (new, ACTIVE), (newer, PENDING)])
        reason = await triton_rig.until_failed(newer.digest)
        assert "no memory" in reason
        assert {small.digest, new.digest} <= set(client.versions)
        assert outputs_of(await client.infer(new.digest, row))["scores"].shape == (1, 16384)
