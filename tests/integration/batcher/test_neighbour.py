"""A Triton that somebody else runs beside a batcher: filled when it comes, and again when it comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from headrace_batcher.triton_link import options_of
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models


@asynccontextmanager
async def neighbour(rig: BatcherRig, command: Path) -> AsyncIterator[None]:
    """Run a Triton on the models of a batcher; at the end it is killed with all that it started."""
    rig.models.mkdir(parents=True, exist_ok=True)
    (rig.models.parent / "triton").mkdir(exist_ok=True)
    options = (f"--model-repository={rig.models}", *options_of(rig.triton))
    process = await asyncio.create_subprocess_exec(command, *options, "--allow-metrics=false", start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def announced(client: BatcherClient, digest: str) -> list[bool]:
    """Return what was said of a version, in order: ready or not."""
    return [state.ready for frame in client.frames for state in frame.versions if state.digest == digest]


@pytest.mark.faults
async def test_what_a_triton_lost_that_came_back_is_loaded_once_and_serves_from_then_on(
    triton_rig: BatcherRig, triton_command: Path
):
    versions = [await triton_rig.version(f"m{at}", onnx_models.linear(seed=at)) for at in range(3)]
    digests = [version.digest for version in versions]
    triton_rig.want(*versions)
    async with AsyncExitStack() as stack:
        async with neighbour(triton_rig, triton_command):
            runtime = await stack.enter_async_context(triton_rig.running(triton_command=""))
            client = await stack.enter_async_context(BatcherClient.connected(runtime.servers[0].address))
            await client.until_ready(*digests)
        await eventually(lambda: not client.versions)
        before = len(client.frames)
        async with neighbour(triton_rig, triton_command):
            await client.until_ready(*digests)
            await asyncio.sleep(3.0)  # three looks at it
            del client.frames[:before]
            assert {digest: announced(client, digest) for digest in digests} == {digest: [True] for digest in digests}
