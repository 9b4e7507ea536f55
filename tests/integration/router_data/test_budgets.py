"""Clients that have spent their budgets: behind others, then refused what would have to be computed."""

from __future__ import annotations

import struct
import time

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import client_limits_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1
from tests.kit.router.predict_requests import predict_request

LOWER, REFUSE = client_limits_pb2.BudgetOverrun.ACTION_LOWER, client_limits_pb2.BudgetOverrun.ACTION_REFUSE
BULK = batcher_pb2.InferRequest.PRIORITY_BATCH


@pytest.fixture
async def monitor():
    async with FakeIngest.serving() as monitor:
        yield monitor


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([V1]) as batcher:
        yield batcher


@pytest.fixture
async def plane(control, batcher, monitor, tmp_path):
    how = {"monitor_target": monitor.target, "grace_s": 0.3, "cache_ttl_s": 60.0}
    async with data_plane(control.target, {"default": [batcher.target]}, tmp_path, **how) as plane:
        yield plane


def overrun(
    action: client_limits_pb2.BudgetOverrun.Action, *, client: str = "ada", model: str = ""
) -> client_limits_pb2.BudgetOverrun:
    until = Timestamp(seconds=int(time.time()) + 600)
    return client_limits_pb2.BudgetOverrun(client=client, model=model, action=action, expire_time=until)


async def ask(plane: DataPlane, client: str, value: float):
    row = (b"\0\0\0\0" * 3) + struct.pack("<f", value)
    request = predict_request("digits", ("x", "FP32", [1, 4], row))
    metadata = ((CLIENT_HEADER, client), (MODELS_HEADER, "*"))
    return await plane.stub.Predict(request, timeout=5, metadata=metadata)


def refusals_told(monitor: FakeIngest) -> set[str]:
    """The models and versions that the monitor was told refused something."""
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    series = [one for report in monitor.reports for one in report.series if one.code == exhausted]
    return {f"{one.model}{one.version}" for one in series}


async def test_a_client_that_has_spent_its_budget_is_bulk_work_and_others_are_not(plane, control, batcher):
    seen: list[tuple[str, int]] = []

    async def noting(batcher, request):
        seen.append((request.client, request.priority))
        return await echoing(batcher, request)

    batcher.behave = noting
    control.put_overruns(overrun(LOWER))
    values = iter(range(1, 10_000))

    async def lowered() -> bool:
        await ask(plane, "ada", next(values))
        return seen[-1] == ("ada", BULK)

    await eventually(lowered, within=10)
    await ask(plane, "bob", next(values))
    assert seen[-1][0] == "bob"
    assert seen[-1][1] != BULK


async def test_far_beyond_it_only_what_is_kept_is_answered_and_the_refusal_says_when_to_come_back(
    plane, control, monitor
):
    kept = await ask(plane, "ada", 1.0)
    control.put_overruns(overrun(REFUSE, model="digits"))
    values = iter(range(2, 10_000))

    async def refused() -> grpc.aio.AioRpcError | None:
        try:
            await ask(plane, "ada", next(values))
        except grpc.aio.AioRpcError as error:
            return error
        return None

    error = await eventually(refused, within=10)
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = from_rpc_error(error)
    assert details.reason == "BUDGET_SPENT"
    assert details.retry_after_s is not None
    assert 500 < details.retry_after_s <= 600
    assert list((await ask(plane, "ada", 1.0)).raw_output_contents) == list(kept.raw_output_contents)
    await ask(plane, "bob", next(values))
    counted = await eventually(lambda: refusals_told(monitor), within=10)
    assert counted == {""}, "of no model: neither its error rate nor a rollout of it has to do with who spent too much"

    control.put_overruns()
    await eventually(lambda: _answers(plane, next(values)), within=10)


async def _answers(plane: DataPlane, value: float) -> bool:
    try:
        await ask(plane, "ada", value)
    except grpc.aio.AioRpcError:
        return False
    return True
