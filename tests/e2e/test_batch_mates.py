"""What one caller does to the others: nothing, whether the request is poison, is given up, or has no time left."""

import asyncio
import os
import re
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.stack.served_models import LINEAR, MODELS, TABLE, Served, output, request, serve

# A test that makes a model busy needs one that no other worker asks.
SLOW = f"slow-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
X = np.ones((1, 4), np.float32)
QUEUED, CANCELLED = "batcher_queued_rows", "batcher_requests_cancelled_total"


class Caller:
    """Calls that do not wait for each other."""

    def __init__(self, served: Served, channel: grpc.aio.Channel, http: httpx.AsyncClient) -> None:
        self.served, self.http, self._bearer = served, http, metadata(served.stack.token())
        self._stub: Any = predict_pb2_grpc.RouterServiceStub(channel)

    def predict(self, message: predict_pb2.PredictRequest, timeout: float = 30.0) -> Any:
        return self._stub.Predict(message, metadata=self._bearer, timeout=timeout)

    async def outcome(self, message: predict_pb2.PredictRequest) -> Any:
        """Return the first output as an array, or the refusal."""
        try:
            return output(await self.predict(message))
        except grpc.aio.AioRpcError as error:
            return grpc_refusal(error)

    async def rows(self, model: str, instances: list) -> httpx.Response:
        return await self.http.post(f"/v1/models/{model}:predict", json={"instances": instances})

    async def executions(self, model: str) -> float:
        """Return how many executions of version v1 of a model were made for callers; canaries are none."""
        return await self.counted("batcher_batch_rows_count", model)

    async def executed(self, model: str, times: float) -> bool:
        """Return whether there were so many."""
        return await self.executions(model) >= times

    async def counted(self, name: str, model: str) -> float:
        """Return what the batcher of the default pool counts for version v1 of a model."""
        return await self._metric("batcher_metrics", name, model)

    async def over(self, name: str, model: str, bound: float) -> bool:
        """Return whether the batcher counts more than that."""
        return await self.counted(name, model) > bound

    async def _metric(self, port: str, name: str, model: str) -> float:
        page = await self.http.get(f"http://{getattr(self.served.stack.settings.ports, port).address}/metrics")
        found = re.search(rf'^{name}{{model="{model}",version="v?1"}} (\S+)$', page.text, re.MULTILINE)
        assert found is not None, f"{name} of {model} is not counted"
        return float(found.group(1))


@pytest.fixture(scope="module")
def slow(served: Served) -> str:
    """A model whose execution takes about half a second."""
    serve(served.client, SLOW, {"v1": onnx_models.slow(3000)})
    return SLOW


@pytest.fixture
async def caller(served: Served, unharmed: None) -> AsyncIterator[Caller]:
    bearer = {"authorization": f"Bearer {served.stack.token()}"}
    async with (
        grpc.aio.insecure_channel(served.stack.address) as channel,
        httpx.AsyncClient(base_url=served.stack.url, headers=bearer, timeout=30, trust_env=False) as http,
    ):
        yield Caller(served, channel, http)


async def test_of_32_at_once_only_those_with_poison_fail_each_for_its_own_reason(caller: Caller):
    rows = [np.full((1 + number % 3, 4), number, np.float32) for number in range(32)]
    rows[5][-1, 2] = np.nan
    poison = {5: ("NAN_NOT_ALLOWED", ("inputs[0]",)), 17: ("CONTRACT_VIOLATED", ("inputs[0].shape",))}
    sent = [each[:, :3] if number == 17 else each for number, each in enumerate(rows)]
    outcomes = await asyncio.gather(*(caller.outcome(request(LINEAR, features=each)) for each in sent))
    for number, (row, outcome) in enumerate(zip(rows, outcomes, strict=True)):
        if number in poison:
            assert (outcome.reason, outcome.fields) == poison[number]
        else:
            expected = MODELS[LINEAR].expected({"features": row})["scores"]
            np.testing.assert_allclose(outcome, expected, rtol=1e-4, atol=1e-5)


async def test_poison_of_one_face_spoils_no_answer_of_another(caller: Caller):
    by_grpc = [caller.outcome(request(TABLE, index=np.array([number % 8]))) for number in range(16)]
    by_rest = [caller.rows(TABLE, [99 if number == 9 else number % 8]) for number in range(16)]
    outcomes = await asyncio.gather(*by_grpc, *by_rest)
    assert [float(each[0]) for each in outcomes[:16]] == [number % 8 * 10.0 for number in range(16)]
    answers = [each.json() for each in outcomes[16:]]
    assert [each["details"][0]["reason"] for each in answers if "details" in each] == ["MODEL_REJECTED_INPUT"]
    expected = [number % 8 * 10.0 for number in range(16) if number != 9]
    assert [value for each in answers for value in each.get("predictions", [])] == expected


@pytest.mark.long
async def test_callers_who_leave_neither_delay_their_batch_mates_nor_are_computed(caller: Caller, slow: str):
    gone, executions = await caller.counted(CANCELLED, slow), await caller.executions(slow)
    busy: list[Any] = []  # until the backend takes no more, so that the others gather behind it
    while await caller.counted(QUEUED, slow) == 0:
        busy.append(asyncio.ensure_future(caller.predict(request(slow, x=X))))
        await asyncio.sleep(0.02)
    mates = [asyncio.ensure_future(caller.predict(request(slow, x=X * number))) for number in range(12)]
    leaver = asyncio.ensure_future(caller.rows(slow, [[1, 2, 3, 4]]))
    await eventually(lambda: caller.over(QUEUED, slow, 12))
    for leaving in (*mates[::2], leaver):
        leaving.cancel()
    await eventually(lambda: caller.over(CANCELLED, slow, gone + 6))
    answers = await asyncio.gather(*mates[1::2])
    assert [float(output(answer)[0, 0]) for answer in answers] == [1, 3, 5, 7, 9, 11]
    await asyncio.gather(*busy)
    # One for each that was there before, and one for all who stayed: nobody waited for an execution of those who left.
    assert await caller.executions(slow) - executions <= len(busy) + 1


# That it is told in time test_predictions.py says, too; that nothing is executed needs a machine that has time.
@pytest.mark.long
async def test_a_deadline_that_cannot_be_kept_is_told_in_time_and_costs_no_execution(caller: Caller, slow: str):
    executions = await caller.executions(slow)
    for _ in range(3):
        await caller.predict(request(slow, x=X))  # so that it is known how long they take
    await eventually(lambda: caller.executed(slow, executions + 3))
    took = []
    for _ in range(5):
        begun = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await caller.predict(request(slow, x=X), timeout=0.05)
        took.append(time.monotonic() - begun)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert statistics.median(took) < patience(0.1)
    for path, body in (
        (f"/v1/models/{slow}:predict", {"instances": [[1, 2, 3, 4]]}),
        ("/v1/predict", {"model_name": slow, "inputs": {"x": [1, 2, 3, 4]}}),
    ):
        response = await caller.http.post(path, json=body, headers={"grpc-timeout": "50m"})
        assert (response.status_code, response.json()["code"]) == (504, 4)
        assert response.json()["details"][0]["domain"] == "headrace.dev"
    await caller.predict(request(slow, x=X))
    await eventually(lambda: caller.executed(slow, executions + 4))
    assert await caller.executions(slow) == executions + 4
