"""What kills what runs it: its batch-mates are answered, and from the second time on it is refused."""

import asyncio
import os
import signal

import numpy as np
import pytest
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.triton_processes import SERVER, STUB, dying_whole, triton_pids

pytestmark = pytest.mark.faults

DEADLINE_US = 60_000_000
FATAL = np.array([-2], dtype=np.int64)


def rows(*values: int) -> list[list[np.ndarray]]:
    return [[np.array([value], dtype=np.int64)] for value in values]


@pytest.mark.parametrize("whole", [pytest.param(False, id="its model"), pytest.param(True, id="Triton")])
async def test_a_request_that_kills_twice_is_quarantined_and_its_batch_mates_are_answered(
    triton_rig: BatcherRig, whole: bool
):
    model = onnx_models.fatal()
    version = await triton_rig.version("fatal", model)
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        async with dying_whole(triton_rig.models) if whole else asyncio.timeout(None):
            many = rows(*range(16), -2, *range(16, 31))
            answers = await client.infer_all(version.digest, many, deadline_us=DEADLINE_US)
            for (x,), answer in zip(many, answers, strict=True):
                if x[0] == -2:
                    assert (answer.code, answer.reason) == (Code.INVALID_ARGUMENT, "QUARANTINED_INPUT")
                else:
                    np.testing.assert_array_equal(outputs_of(answer)["y"], model.expected({"x": x})["y"])
            # From now on it is refused without being executed.
            await client.until_ready(version.digest)
            before = triton_pids(triton_rig.models)
            assert (await client.infer(version.digest, [FATAL])).reason == "QUARANTINED_INPUT"
            assert outputs_of(await client.infer(version.digest, rows(7)[0]))["y"].shape == (1,)
            assert triton_pids(triton_rig.models) == before


async def test_a_killer_whose_caller_is_never_there_for_the_trial_is_quarantined_too(triton_rig: BatcherRig):
    version = await triton_rig.version("fatal", onnx_models.fatal())
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        (stub,) = triton_pids(triton_rig.models, STUB)
        request, _ = client.request(version.digest, [FATAL])
        await client.send([request])
        # It takes Triton a second to find out.
        await eventually(lambda: stub not in triton_pids(triton_rig.models, STUB))
        await client.send([], cancelled=[request.id])
        await eventually(lambda: version.digest not in client.versions)
        await client.until_ready(version.digest)
        again = await client.infer(version.digest, [FATAL], deadline_us=DEADLINE_US)
        assert again.reason == "QUARANTINED_INPUT"


async def test_a_model_that_dies_takes_no_other_with_it(triton_rig: BatcherRig):
    fatal = await triton_rig.version("fatal", onnx_models.fatal())
    other = await triton_rig.version("other", onnx_models.identity())
    triton_rig.want(fatal, other)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(fatal.digest, other.digest)
        killing = asyncio.create_task(client.infer(fatal.digest, [FATAL], deadline_us=DEADLINE_US))
        answered = 0
        while not killing.done():
            row = np.full((1, 4), answered, dtype=np.float32)
            np.testing.assert_array_equal(outputs_of(await client.infer(other.digest, [row]))["y"], row)
            answered += 1
        assert answered > 20
        assert (await killing).reason == "QUARANTINED_INPUT"


async def test_who_executes_when_triton_is_killed_is_answered_after_its_return(triton_rig: BatcherRig):
    version = await triton_rig.version("slow", onnx_models.slow(1000), max_batch_rows=1)
    triton_rig.want(version)
    async with triton_rig.running() as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(version.digest)
        (triton,) = triton_pids(triton_rig.models, SERVER)
        row = np.ones((1, 4), dtype=np.float32)
        made = [client.request(version.digest, [row], deadline_us=DEADLINE_US) for _ in range(6)]
        await client.send([request for request, _ in made])
        await asyncio.sleep(0.1)
        os.kill(triton, signal.SIGKILL)
        answers = await asyncio.wait_for(asyncio.gather(*(answer for _, answer in made)), 60)
        # Two executed; who waited is told at once, so that it is answered elsewhere.
        assert sorted(answer.reason for answer in answers) == ["", "", *["NO_BACKEND"] * 4]
        assert all(answer.code in (0, Code.UNAVAILABLE) for answer in answers)
