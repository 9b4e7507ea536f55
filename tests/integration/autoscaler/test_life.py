"""`python -m headrace_autoscaler` over a real PostgreSQL."""

import os

import grpc
import pytest
from grpc.aio import AioRpcError
from headrace.autoscaler.v1 import autoscaler_pb2, autoscaler_pb2_grpc
from headrace_servicekit.testing import free_port

from tests.kit.service_process import is_serving, service_process

PARTS = ("", "postgres", "headrace.autoscaler.v1.AutoscalerService")
REQUEST = autoscaler_pb2.DescribeAutoscalerRequest()


def environment(url: str, port: int) -> dict[str, str]:
    told = {"DATABASE_URL": url, "PORT": str(port), "METRICS_PORT": "0", "DRAIN_NOTICE_S": "0.1"}
    return {"PATH": os.environ["PATH"], **{f"AUTOSCALER_{name}": value for name, value in told.items()}}


async def test_it_migrates_its_database_and_says_which_store_it_has(postgres_url: str):
    answers = []
    for port in (free_port(), free_port()):
        settings = environment(postgres_url, port)
        async with service_process("headrace_autoscaler", settings, port, parts=PARTS) as (_, channel):
            stub = autoscaler_pb2_grpc.AutoscalerServiceStub(channel)
            answers.append(await stub.DescribeAutoscaler(REQUEST, timeout=10))
    assert answers[0].incarnation
    assert answers[0] == answers[1]


@pytest.mark.faults
async def test_without_its_database_predictions_go_on_and_its_calls_are_unavailable():
    # Nothing listens where the database should be.
    port = free_port()
    settings = environment(f"postgresql://nobody@127.0.0.1:{free_port()}/autoscaler", port)
    async with service_process("headrace_autoscaler", settings, port, parts=()) as (_, channel):
        stub = autoscaler_pb2_grpc.AutoscalerServiceStub(channel)
        with pytest.raises(AioRpcError) as refused:
            await stub.DescribeAutoscaler(REQUEST, timeout=30, wait_for_ready=True)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not await is_serving(channel, "")
