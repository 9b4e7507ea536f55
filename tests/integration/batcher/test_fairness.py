"""FairQueue of a real batcher beside each other: who is answered in which order, who is refused. Counted, not timed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code

from tests.kit.batcher.service import BatcherRig
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models

ROW = np.ones((1, 4), dtype=np.float32)
BATCH_ROWS = 8


@dataclass(frozen=True, slots=True)
class Scene:
    """A client of a batcher with one version ready, whose batches of at most eight rows take about 20 ms."""

    client: BatcherClient
    digest: str

    def requests(self, count: int, name: str, **fields) -> list:
        return [self.client.request(self.digest, [ROW], client=name, **fields) for _ in range(count)]

    def answered(self) -> list[int]:
        """Return the ids of what was answered so far, in that order."""
        return [one.id for frame in self.client.frames for one in frame.responses]


@asynccontextmanager
async def serving(rig: BatcherRig, **changes) -> AsyncIterator[Scene]:
    model = onnx_models.slow(100)
    version = await rig.version("slow", model, max_batch_rows=BATCH_ROWS, preferred_batch_rows=[BATCH_ROWS])
    rig.want(version)
    async with (
        rig.running(liveness_probe_after_s=600, **changes) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
        yield Scene(client, version.digest)


@pytest.mark.long
async def test_a_client_that_sent_ten_times_as_much_before_does_not_go_before_another(onnx_rig: BatcherRig):
    async with serving(onnx_rig) as scene:
        noisy, quiet = scene.requests(200, "noisy"), scene.requests(20, "quiet")
        await scene.client.send([request for request, _ in noisy])
        await scene.client.send([request for request, _ in quiet])
        answers = [await answer for _, answer in quiet]
        order = scene.answered()
        assert {answer.code for answer in answers} == {Code.OK}
        own = {request.id for request, _ in quiet}
        places = [at for at, one in enumerate(order) if one in own]
        between = places[-1] - places[0] + 1 - len(places)
        # As many of the other as of its own; and a request of each, a batch, and the two that had begun.
        assert between <= len(places) + 2 + 3 * BATCH_ROWS
        assert {(await answer).code for _, answer in noisy} == {Code.OK}


async def test_a_queue_that_one_client_filled_has_room_for_another(onnx_rig: BatcherRig):
    async with serving(onnx_rig, max_queue_rows=100) as scene:
        noisy, quiet = scene.requests(400, "noisy"), scene.requests(40, "quiet")
        await scene.client.send([request for request, _ in noisy])
        await scene.client.send([request for request, _ in quiet])
        assert {(await answer).code for _, answer in quiet} == {Code.OK}
        refused = [answer for answer in [await one for _, one in noisy] if answer.code]
        assert {(one.code, one.reason) for one in refused} == {(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")}
        assert all(one.retry_after_us > 0 for one in refused)
        assert len(refused) >= 400 - 100 - 10 * BATCH_ROWS


@pytest.mark.long
async def test_bulk_makes_room_for_callers_and_callers_do_not_wait_for_it(onnx_rig: BatcherRig):
    async with serving(onnx_rig, max_queue_rows=100) as scene:
        bulk = scene.requests(50, "scorer", priority=batcher_pb2.InferRequest.PRIORITY_BATCH)
        callers = scene.requests(90, "scorer")
        await scene.client.send([request for request, _ in bulk])
        await scene.client.send([request for request, _ in callers])
        assert {(await answer).code for _, answer in callers} == {Code.OK}
        answers = [await answer for _, answer in bulk]
        assert {answer.reason for answer in answers} == {"", "QUEUE_FULL"}
        own = {request.id for request, _ in bulk}
        executed = {answer.id for answer in answers if not answer.code}
        order = [one for one in scene.answered() if one not in own or one in executed]
        last_caller = max(at for at, one in enumerate(order) if one not in own)
        # Before the last caller only what had begun before them; full batches of callers have no room for others.
        assert sum(one in own for one in order[:last_caller]) <= 4 * BATCH_ROWS
