"""A batcher before a real Triton that executes versions where they are cheapest, and says where."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import compute_pb2, control_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, free_port

from tests.kit.batcher.process import process_of, until_listening
from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models

BACKEND, INLINE = compute_pb2.COMPUTE_WAY_BACKEND, compute_pb2.COMPUTE_WAY_INLINE
ANYWHERE: dict[str, Any] = {"compute": "auto"}


async def executed(rig: BatcherRig, version: control_pb2.ResolvedVersion, *ways: int) -> str:
    """Return why the batcher executes a version where it does, once it has reported one of these ways."""

    def reason() -> str:
        reports = [one for report in rig.control.reports.values() for one in report.versions]
        found = [one.compute for one in reports if one.digest == version.digest and one.compute.way in ways]
        return found[-1].reason if found else ""

    return await eventually(reason, within=30)


async def test_a_small_version_is_executed_on_the_event_loop_and_answers_and_fails_as_through_triton(
    triton_rig: BatcherRig,
):
    table = onnx_models.table(8)
    small = await triton_rig.version("small", table)
    named = await triton_rig.version("named", table, device="DEVICE_CPU")
    two = await triton_rig.version("two", table, instances=2)
    triton_rig.want(small, named, two)
    many = [[np.array([value], dtype=np.int64)] for value in (*range(8), 99, *range(8))]
    async with triton_rig.running(**ANYWHERE) as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(small.digest, named.digest, two.digest)
        assert "in process" in await executed(triton_rig, small, INLINE)
        assert await executed(triton_rig, named, BACKEND) == "its settings name a device, CPU"
        assert await executed(triton_rig, two, BACKEND) == "its settings ask for 2 instances"

        answers = await client.infer_all(small.digest, many)
        assert {answer.compute_way for answer in answers if not answer.code} == {INLINE}
        through_triton = await client.infer_all(named.digest, many)
        assert {answer.compute_way for answer in through_triton if not answer.code} == {BACKEND}
        for here, there in zip(answers, through_triton, strict=True):
            assert (here.code, here.reason, here.outputs) == (there.code, there.reason, there.outputs)
        (blamed,) = [answer for answer in answers if answer.code]
        assert (blamed.code, blamed.reason) == (Code.INVALID_ARGUMENT, "MODEL_REJECTED_INPUT")


async def test_one_request_that_computes_for_long_blocks_nobody_and_returns_its_version_to_triton(
    triton_rig: BatcherRig,
):
    asked = await triton_rig.version("asked", onnx_models.as_long_as_asked(), max_batch_rows=2)
    other = await triton_rig.version("other", onnx_models.identity())
    triton_rig.want(asked, other)
    row = np.ones((1, 4), dtype=np.float32)
    async with triton_rig.running(**ANYWHERE) as runtime, BatcherClient.connected(runtime.servers[0].address) as client:
        await client.until_ready(asked.digest, other.digest)
        await executed(triton_rig, asked, INLINE)
        await executed(triton_rig, other, INLINE)
        # About three seconds of a core.
        long = asyncio.create_task(client.infer(asked.digest, [np.full((1, 1), 20_000, dtype=np.float32)]))
        answered = 0
        while not long.done():
            assert not (await client.infer(other.digest, [row])).code
            answered += 1
        assert answered > 100
        assert outputs_of(await long)["y"] == 20_000
        assert "took" in await executed(triton_rig, asked, BACKEND)


@pytest.mark.faults
async def test_a_version_that_crashes_the_process_is_executed_through_triton_for_good(
    triton_rig: BatcherRig, tmp_path: Path
):
    fatal = await triton_rig.version("fatal", onnx_models.fatal())
    other = await triton_rig.version("other", onnx_models.identity())
    triton_rig.want(fatal, other)
    rows = [np.array([7], dtype=np.int64)]
    port = free_port()
    async with process_of(triton_rig, tmp_path / "first", port=port, **ANYWHERE) as process:
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(fatal.digest)
            await executed(triton_rig, fatal, INLINE)
            await client.send([client.request(fatal.digest, [np.array([-2], dtype=np.int64)])[0]])
            assert await process.wait() < 0
    triton_rig.control.reports.clear()
    async with process_of(triton_rig, tmp_path / "second", port=port, **ANYWHERE):
        await until_listening(port)
        async with BatcherClient.connected(f"127.0.0.1:{port}") as client:
            await client.until_ready(fatal.digest, other.digest)
            why = await executed(triton_rig, fatal, BACKEND, INLINE)
            assert why == "the batcher died while it executed this file in process"
            assert await executed(triton_rig, other, INLINE)
            answer = await client.infer(fatal.digest, rows)
            assert (answer.code, answer.compute_way) == (0, BACKEND)
