"""Memory of a real Triton and its models: counted, bounded, and given back by what nothing needs."""

import os

import numpy as np
from headrace.router.v1 import control_pb2
from headrace_batcher.loading.memory import held_bytes
from headrace_servicekit.testing import eventually

from tests.kit import onnx_models
from tests.kit.batcher_client import BatcherClient, outputs_of
from tests.kit.batcher_service import BatcherRig
from tests.kit.triton_processes import SERVER, triton_pids

MIB = 1024 * 1024
ACTIVE = control_pb2.WantedVersion.NEED_ACTIVE
PENDING = control_pb2.WantedVersion.NEED_PENDING
REVERT = control_pb2.WantedVersion.NEED_REVERT


def used(rig: BatcherRig) -> int:
    return held_bytes(os.getpgid(triton_pids(rig.models, SERVER)[0]))


async def settled(rig: BatcherRig) -> int:
    """Return what is used once loading has given back what it needed for itself."""
    seen = [used(rig)]

    async def as_before() -> bool:
        seen.append(used(rig))
        return abs(seen[-1] - seen[-2]) < MIB

    await eventually(as_before, within=10, every=0.5)
    return seen[-1]


async def test_above_its_limit_a_batcher_gives_up_rollbacks_first_then_fails_what_waits_and_never_what_serves(
    triton_rig: BatcherRig,
):
    small = await triton_rig.version("small", onnx_models.linear(4, 3))
    # 128 MiB of weights each: much beside what the process of the tests has itself.
    old, new, newer = [
        await triton_rig.version("large", onnx_models.linear(2048, 16384, seed=seed), f"v{seed}") for seed in (1, 2, 3)
    ]
    triton_rig.want(small)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(small.digest)
        without = await settled(triton_rig)
        triton_rig.want(small, old)
        await client.until_ready(old.digest)
        each = await settled(triton_rig) - without
        assert each >= 128 * MIB
        triton_rig.want(small)
        await eventually(lambda: used(triton_rig) < without + each // 2, within=20)

    # Room for one large model and for what loading another takes for a while, not for both to stay.
    async with (
        triton_rig.running(memory_limit_bytes=without + each * 7 // 4) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(small.digest)
        triton_rig.control.put_demand("default", [(small, ACTIVE), (old, REVERT)])
        await client.until_ready(old.digest)
        triton_rig.control.put_demand("default", [(small, ACTIVE), (new, PENDING), (old, REVERT)])
        await client.until_ready(new.digest)
        await eventually(lambda: old.digest not in client.versions, within=10)
        triton_rig.control.put_demand("default", [(small, ACTIVE), (new, ACTIVE), (newer, PENDING)])
        reason = await triton_rig.until_failed(newer.digest)
        assert "no memory" in reason
        assert {small.digest, new.digest} <= set(client.versions)
        answer = await client.infer(new.digest, [np.zeros((1, 2048), dtype=np.float32)])
        assert outputs_of(answer)["scores"].shape == (1, 16384)
