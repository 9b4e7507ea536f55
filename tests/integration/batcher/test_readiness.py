"""What is alive and answers nothing is out of service within five seconds, and back when it answers."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from headrace_servicekit.testing import eventually, patience

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import SERVER, STUB, triton_pids

ROW = np.ones((1, 4), dtype=np.float32)


@contextmanager
def stopped(pids: list[int]) -> Iterator[Callable[[], None]]:
    """Freeze processes; yields what lets them go on."""
    assert pids

    def let_go() -> None:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # it was killed meanwhile

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield let_go
    finally:
        let_go()


async def busy_for(client: BatcherClient, digest: str, seconds: float) -> np.ndarray:
    """Return an input of `as_long_as_asked` that takes about so long on this machine."""
    rounds, took_s = 500, []
    for _ in range(3):
        begun = time.monotonic()
        await client.infer(digest, [np.full((1, 1), rounds, dtype=np.float32)])
        took_s.append(time.monotonic() - begun)
    return np.full((1, 1), int(rounds * seconds / min(took_s)), dtype=np.float32)


@pytest.mark.faults
async def test_a_frozen_triton_is_not_serving_within_five_seconds_and_comes_back_by_itself(triton_rig: BatcherRig):
    version = await triton_rig.version("same", onnx_models.identity())
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        before = triton_pids(triton_rig.models)
        with stopped(triton_pids(triton_rig.models, SERVER)) as let_go:
            frozen = time.monotonic()
            await eventually(lambda: not runtime.health.ready, within=10)
            assert time.monotonic() - frozen <= patience(5.0)
            # Data planes are told to go elsewhere, and what comes nevertheless is refused at once.
            await eventually(lambda: version.digest not in client.versions)
            assert client.frames[-1].load.predicted_wait_us >= 10_000_000
            made, answer = client.request(version.digest, [ROW])
            made.version = 1
            await client.send([made])
            assert (await answer).reason == "NO_BACKEND"
            let_go()
            await client.until_ready(version.digest, within=10)
            np.testing.assert_array_equal(outputs_of(await client.infer(version.digest, [ROW]))["y"], ROW)
            assert client.frames[-1].load.predicted_wait_us < 1_000_000
            await eventually(lambda: runtime.health.ready)
        assert triton_pids(triton_rig.models) == before


@pytest.mark.long
async def test_a_model_that_computes_without_end_is_not_serving_within_five_seconds_and_comes_back(
    triton_rig: BatcherRig,
):
    version = await triton_rig.version("long", onnx_models.as_long_as_asked(), max_batch_rows=1)
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        endless, answer = client.request(version.digest, [await busy_for(client, version.digest, 10.0)])
        await client.send([endless])
        stuck = time.monotonic()
        await eventually(lambda: not runtime.health.ready, within=10)
        assert time.monotonic() - stuck <= patience(5.0)
        # The frame that says so may still be on its way.
        await eventually(lambda: version.digest not in client.versions, within=1)
        assert (await answer).code == 0
        await client.until_ready(version.digest, within=10)
        await eventually(lambda: runtime.health.ready)


@pytest.mark.faults
async def test_an_input_that_never_ends_is_quarantined(triton_rig: BatcherRig):
    version = await triton_rig.version("long", onnx_models.as_long_as_asked(), max_batch_rows=1)
    triton_rig.want(version)
    row = np.full((1, 1), 100_000_000, dtype=np.float32)
    async with (
        triton_rig.running(restart_silent_after_s=2.0) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
        answer = await client.infer(version.digest, [row], deadline_us=100_000_000)
        assert answer.reason == "QUARANTINED_INPUT"
        await client.until_ready(version.digest)
        assert (await client.infer(version.digest, [np.ones((1, 1), dtype=np.float32)])).code == 0
        assert len(triton_pids(triton_rig.models, STUB)) == 1


@pytest.mark.long
async def test_one_version_that_does_not_answer_is_alone_out_of_service(triton_rig: BatcherRig):
    stuck = await triton_rig.version("stuck", onnx_models.as_long_as_asked(), max_batch_rows=1)
    fine = await triton_rig.version("fine", onnx_models.identity())
    triton_rig.want(stuck, fine)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(stuck.digest, fine.digest)
        endless, answer = client.request(stuck.digest, [await busy_for(client, stuck.digest, 10.0)])
        await client.send([endless])
        await eventually(lambda: stuck.digest not in client.versions, within=10)
        assert fine.digest in client.versions
        assert outputs_of(await client.infer(fine.digest, [ROW]))
        assert runtime.health.ready
        assert (await answer).code == 0
        await client.until_ready(stuck.digest, within=10)


@pytest.mark.faults
@pytest.mark.parametrize(
    "program", [pytest.param(SERVER, id="Triton is frozen"), pytest.param(STUB, id="what runs the model is frozen")]
)
async def test_what_stays_silent_is_started_anew(triton_rig: BatcherRig, program: bytes):
    version = await triton_rig.version("same", onnx_models.identity())
    triton_rig.want(version)
    async with (
        triton_rig.running(restart_silent_after_s=3.0) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
        with stopped(triton_pids(triton_rig.models, program)):
            await eventually(lambda: version.digest not in client.versions, within=10)
            await client.until_ready(version.digest, within=40)
            np.testing.assert_array_equal(outputs_of(await client.infer(version.digest, [ROW]))["y"], ROW)
            await eventually(lambda: runtime.health.ready)


@pytest.mark.long
async def test_a_busy_version_needs_no_probe_and_is_not_taken_for_stuck(triton_rig: BatcherRig):
    """Executions of a second, several deep: every answer is late, none is missing."""
    version = await triton_rig.version("slow", onnx_models.slow(5000), max_batch_rows=1)
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        answers = await client.infer_all(version.digest, [[ROW]] * 6, deadline_us=100_000_000)
        assert {answer.code for answer in answers} == {0}
        assert client.versions
        assert runtime.health.ready
