"""Batches as they form in front of a real Triton: sizes, slices, and who pays for whose mistakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.kit.batcher.shared import SharedBatcher
from tests.kit.batcher.stream_client import BatcherClient, outputs_of
from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW = np.ones((1, 4), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Serving:
    """A client of the batcher with one version ready, and that version's count of executions in Triton."""

    client: BatcherClient
    name: str
    digest: str
    triton: Any

    async def executions(self) -> int:
        """Return the count once it stands still: Triton answers first, and counts then."""
        request = vars(service_pb2)["ModelStatisticsRequest"](name=f"{self.name}--v1")
        counts = [-1]

        async def as_before() -> bool:
            statistics = await self.triton.ModelStatistics(request, timeout=20)
            counts.append(sum(one.execution_count for one in statistics.model_stats))
            return counts[-1] == counts[-2]

        await eventually(as_before, every=0.05)
        return counts[-1]


@asynccontextmanager
async def serving(shared: SharedBatcher, name: str, model: TinyModel, **settings) -> AsyncIterator[Serving]:
    async with (
        shared.serving(name, model, **settings) as (client, version),
        grpc.aio.insecure_channel(shared.rig.triton) as channel,
    ):
        yield Serving(client, name, version.digest, service_pb2_grpc.GRPCInferenceServiceStub(channel))


def slow(shared: SharedBatcher) -> AbstractAsyncContextManager[Serving]:
    """Serve a version that needs about 0.2 s for an execution, however many rows it has."""
    return serving(shared, "slow", onnx_models.slow(1000))


def slow_one_by_one(shared: SharedBatcher) -> AbstractAsyncContextManager[Serving]:
    """Serve one that needs about 0.3 s for each row."""
    return serving(shared, "one-by-one", onnx_models.slow(1500), max_batch_rows=1)


@pytest.mark.long
async def test_32_concurrent_callers_share_batches_of_at_least_16_while_the_backend_is_busy(on_triton: SharedBatcher):
    # A wait that even a busy machine does not use up, so that only arrivals and ends of executions count.
    async with serving(on_triton, "waiting", onnx_models.slow(1000), max_wait=timedelta(seconds=1)) as tiny:
        for _ in range(2):
            before = await tiny.executions()
            busy, busy_answer = tiny.client.request(tiny.digest, [ROW])
            await tiny.client.send([busy])
            rows = [np.full((1, 4), at, dtype=np.float32) for at in range(32)]
            frames = [tiny.client.infer_all(tiny.digest, [[row] for row in rows[at : at + 8]]) for at in (0, 8, 16, 24)]
            answers = [answer for answers in await asyncio.gather(*frames) for answer in answers]
            for row, answer in zip(rows, answers, strict=True):
                np.testing.assert_array_equal(outputs_of(answer)["y"], row)
            assert (await busy_answer).code == 0
            # Beside the one that keeps it busy; if they came before that began, they are in its batch.
            assert await tiny.executions() - before <= 1 + 32 // 16


@pytest.mark.long
async def test_a_lone_request_executes_when_the_one_before_it_has_and_says_how_long_it_waited(on_triton: SharedBatcher):
    async with slow(on_triton) as tiny:
        busy, busy_answer = tiny.client.request(tiny.digest, [ROW])
        await tiny.client.send([busy])
        ahead = await tiny.client.infer(tiny.digest, [ROW])
        # It was sent to Triton while the first one executed there, and says that it waited.
        assert ahead.queue_us >= (await busy_answer).compute_us / 2


async def test_requests_of_1_7_and_30_rows_get_exactly_their_rows(on_triton: SharedBatcher):
    model = onnx_models.two_inputs_two_outputs()
    async with serving(on_triton, "pair", model) as tiny:
        rng = np.random.default_rng(3)
        many = [
            [rng.normal(size=(rows, 3)).astype(np.float32), rng.normal(size=(rows, 3)).astype(np.float32)]
            for rows in [1, 7, 30, 7, 1, 30, 1, 7] * 4
        ]
        answers = await tiny.client.infer_all(tiny.digest, many)
        for (a, b), answer in zip(many, answers, strict=True):
            expected = model.expected({"a": a, "b": b})
            np.testing.assert_array_equal(outputs_of(answer)["sum"], expected["sum"])
            np.testing.assert_allclose(outputs_of(answer)["dot"], expected["dot"], rtol=1e-4, atol=1e-5)
            assert answer.batch_rows <= 32
        assert max(answer.batch_requests for answer in answers) > 1


async def test_100_rows_become_four_executions_and_one_answer_in_order(on_triton: SharedBatcher):
    async with serving(on_triton, "same", onnx_models.identity(4)) as tiny:
        before = await tiny.executions()
        rows = np.arange(400, dtype=np.float32).reshape(100, 4)
        np.testing.assert_array_equal(outputs_of(await tiny.client.infer(tiny.digest, [rows]))["y"], rows)
        assert await tiny.executions() == before + 4


async def test_shapes_of_their_own_never_fail_each_other(on_triton: SharedBatcher):
    async with serving(on_triton, "texts", onnx_models.variable_dimension()) as tiny:
        made = []
        for at in range(24):
            tokens = np.arange(1, at % 5 + 2, dtype=np.int64).reshape(1, -1)
            made.append((tokens, *tiny.client.request(tiny.digest, [tokens], dims=[tokens.shape[1]])))
        await tiny.client.send([request for _, request, _ in made])
        for tokens, _, answer in made:
            found = outputs_of(await answer)
            np.testing.assert_array_equal(found["doubled"], tokens * 2)
            np.testing.assert_array_equal(found["lengths"], [tokens.shape[1]])


async def test_shapes_of_one_bucket_are_executed_together_and_answered_by_their_own(on_triton: SharedBatcher):
    padding = registry_pb2.ServingSettings.Padding(sizes=[4, 8])
    async with serving(on_triton, "padded", onnx_models.variable_dimension(), padding=padding) as tiny:
        before, made = await tiny.executions(), []
        for at in range(30):
            tokens = np.arange(1, at % 9 + 2, dtype=np.int64).reshape(1, -1)  # of 1 to 9, so that one size fits nowhere
            made.append((tokens, *tiny.client.request(tiny.digest, [tokens], dims=[tokens.shape[1]])))
        await tiny.client.send([request for _, request, _ in made])
        for tokens, _, answer in made:
            found = outputs_of(await answer)
            np.testing.assert_array_equal(found["doubled"], tokens * 2)
            np.testing.assert_array_equal(found["lengths"], [tokens.shape[1]])
        # Nine sizes, in three groups.
        assert await tiny.executions() == before + 3


async def test_one_poison_among_32_fails_alone(on_triton: SharedBatcher):
    model = onnx_models.table(8)
    async with serving(on_triton, "table", model) as tiny:
        indices = [np.array([at % 8], dtype=np.int64) for at in range(32)]
        indices[13] = np.array([999], dtype=np.int64)
        answers = await tiny.client.infer_all(tiny.digest, [[index] for index in indices])
        for at, (index, answer) in enumerate(zip(indices, answers, strict=True)):
            if at == 13:
                assert (answer.code, answer.reason) == (Code.INVALID_ARGUMENT, "MODEL_REJECTED_INPUT")
            else:
                np.testing.assert_array_equal(outputs_of(answer)["value"], index * 10.0)


async def test_a_nan_is_blamed_on_its_request_and_its_input_without_an_execution(on_triton: SharedBatcher):
    async with serving(on_triton, "pair", onnx_models.two_inputs_two_outputs()) as tiny:
        before = await tiny.executions()
        fine = np.ones((1, 3), dtype=np.float32)
        many = [[fine, fine] for _ in range(32)]
        many[5] = [fine, np.array([[0, np.nan, 0]], dtype=np.float32)]
        answers = await tiny.client.infer_all(tiny.digest, many)
        blamed = answers.pop(5)
        assert (blamed.code, blamed.reason, blamed.blamed_input) == (Code.INVALID_ARGUMENT, "NAN_NOT_ALLOWED", 2)
        assert "'b'" in blamed.message
        assert all(answer.code == 0 for answer in answers)
        assert await tiny.executions() == before + 1


async def test_a_cancelled_request_is_absent_from_its_batch_and_counted(on_triton: SharedBatcher):
    async with slow(on_triton) as tiny:
        # Two executions keep Triton busy, so the next requests wait.
        busy = [tiny.client.request(tiny.digest, [np.zeros((32, 4), dtype=np.float32)]) for _ in range(2)]
        await tiny.client.send([request for request, _ in busy])
        stay, stay_answer = tiny.client.request(tiny.digest, [ROW])
        leave, leave_answer = tiny.client.request(tiny.digest, [ROW])
        await tiny.client.send([stay, leave])
        await tiny.client.send([], cancelled=[leave.id])
        answer = await stay_answer
        assert (answer.code, answer.batch_rows) == (0, 1)
        assert not leave_answer.done()
        assert all([(await answer).code == 0 for _, answer in busy])


async def test_a_deadline_that_cannot_be_met_costs_no_execution(on_triton: SharedBatcher):
    async with slow_one_by_one(on_triton) as tiny:
        before = await tiny.executions()
        answer = await tiny.client.infer(tiny.digest, [ROW], deadline_us=50_000)
        assert answer.code == Code.DEADLINE_EXCEEDED
        assert await tiny.executions() == before


async def test_what_expires_in_the_queue_is_told_at_once_and_never_executed(on_triton: SharedBatcher):
    async with slow_one_by_one(on_triton) as tiny:
        before = await tiny.executions()
        busy = [tiny.client.request(tiny.digest, [ROW]) for _ in range(3)]
        await tiny.client.send([request for request, _ in busy])
        answer = await tiny.client.infer(tiny.digest, [ROW], deadline_us=400_000)
        assert answer.code in (Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)
        assert not busy[2][1].done()
        assert {answer.code for answer in await asyncio.gather(*(answer for _, answer in busy))} == {0}
        assert (await tiny.client.infer(tiny.digest, [ROW])).code == 0
        assert await tiny.executions() == before + 4


@pytest.mark.parametrize("fields", [{"dims": [3]}, {"rows": 2}, {"outputs": [7]}, {"rows": 0}])
async def test_requests_that_do_not_fit_the_contract_are_refused(on_triton: SharedBatcher, fields):
    async with serving(on_triton, "same", onnx_models.identity(4)) as tiny:
        request, refused = tiny.client.request(tiny.digest, [ROW], **fields)
        mate, answered = tiny.client.request(tiny.digest, [ROW])
        await tiny.client.send([request, mate])
        assert (await refused).code == Code.INVALID_ARGUMENT
        np.testing.assert_array_equal(outputs_of(await answered)["y"], ROW)


async def test_a_closed_stream_cancels_its_work_and_leaves_that_of_others(on_triton: SharedBatcher):
    async with slow(on_triton) as tiny:
        first, first_answer = tiny.client.request(tiny.digest, [ROW])
        await tiny.client.send([first])
        async with BatcherClient.connected(tiny.client.target) as other:
            await other.until_ready(tiny.digest)
            left = [other.request(tiny.digest, [ROW])[0] for _ in range(3)]
            await other.send(left)
            await eventually(lambda: tiny.client.frames)
        mine, my_answer = tiny.client.request(tiny.digest, [ROW])
        await tiny.client.send([mine])
        assert (await first_answer).code == 0
        assert (await my_answer).batch_requests == 1
