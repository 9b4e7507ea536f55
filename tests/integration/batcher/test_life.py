"""The batcher as a process: it starts on its own, finishes what it took when it is told to stop, and leaves nothing."""

import asyncio
import glob
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from headrace_servicekit.testing import eventually, free_port, patience

from tests.kit.batcher.process import process_of, processes_of, until_listening
from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models


@pytest.mark.long
async def test_sigterm_with_work_in_flight_answers_it_and_leaves_no_process(triton_rig: BatcherRig, tmp_path: Path):
    version = await triton_rig.version("slow", onnx_models.slow(300), max_batch_rows=1)
    triton_rig.want(version)
    port = free_port()
    async with process_of(triton_rig, tmp_path / "log", port=port) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(version.digest)
            tritons = processes_of(triton_rig, "/tritonserver")
            rows = [np.full((1, 4), at, dtype=np.float32) for at in range(4)]
            made = [client.request(version.digest, [row]) for row in rows]
            await client.send([request for request, _ in made])
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: client.draining)
            for row, (_, answer) in zip(rows, made, strict=True):
                np.testing.assert_array_equal(outputs_of(await answer)["y"], row)
            await asyncio.wait_for(client.ended.wait(), 10)
        assert await asyncio.wait_for(process.wait(), patience(30)) == 0
    await eventually(lambda: not processes_of(triton_rig))
    # Triton was asked to stop, not killed: it tidied up.
    assert not [path for pid in tritons for path in glob.glob(f"/dev/shm/headrace_triton_{pid}_*")]


@pytest.mark.faults
@pytest.mark.parametrize("up", [pytest.param(False, id="while it starts"), pytest.param(True, id="while it serves")])
async def test_a_killed_batcher_takes_its_triton_with_it(triton_rig: BatcherRig, tmp_path: Path, up: bool):
    triton_rig.want(await triton_rig.version("linear", onnx_models.linear()))
    port = free_port()
    async with process_of(triton_rig, tmp_path / "log", port=port) as process:
        await until_listening(port)
        await eventually(lambda: processes_of(triton_rig, "keep_group"), within=60)
        if up:
            stubs = await eventually(lambda: processes_of(triton_rig, "triton_python_backend_stub"), within=30)
            # A terminal's Ctrl-C is not for Triton, but what it loads at low priority steps back for the batcher.
            assert {os.getpgid(pid) == os.getpgid(process.pid) for pid in stubs} == {False}
            assert {os.getsid(pid) for pid in stubs} == {os.getsid(process.pid)}
        process.kill()
        await process.wait()
    await eventually(lambda: not processes_of(triton_rig), within=10)


async def test_a_second_batcher_on_one_state_directory_is_refused(onnx_rig: BatcherRig, tmp_path: Path):
    async with onnx_rig.running(), process_of(onnx_rig, tmp_path / "log") as second:
        assert await asyncio.wait_for(second.wait(), patience(30)) == 1
    assert "BATCHER_STATE_DIR" in (tmp_path / "log").read_text()


@pytest.mark.faults
async def test_without_its_backend_the_batcher_is_not_serving(triton_rig: BatcherRig):
    async with triton_rig.running() as runtime:
        assert runtime.health.ready
        (triton,) = processes_of(triton_rig, "/tritonserver")
        os.kill(triton, signal.SIGSTOP)
        try:
            await eventually(lambda: not runtime.health.ready, within=5)
        finally:
            os.kill(triton, signal.SIGCONT)
        await eventually(lambda: runtime.health.ready, within=5)
