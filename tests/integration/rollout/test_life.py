"""`python -m headrace_rollout` over a real PostgreSQL."""

import os

import grpc
import pytest
from grpc.aio import AioRpcError
from headrace.rollout.v1 import rollout_pb2, rollout_pb2_grpc
from headrace_servicekit.testing import free_port

from tests.kit.stack.service_process import is_serving, service_process

PARTS = ("", "postgres", "headrace.rollout.v1.RolloutService")
REQUEST = rollout_pb2.ListRolloutsRequest()


def environment(url: str, port: int) -> dict[str, str]:
    nowhere = f"127.0.0.1:{free_port()}"
    told = {"DATABASE_URL": url, "PORT": str(port), "METRICS_PORT": "0", "DRAIN_NOTICE_S": "0.1"}
    told |= {"CONTROL_TARGET": nowhere, "REGISTRY_TARGET": nowhere, "MONITOR_TARGET": nowhere}
    return {"PATH": os.environ["PATH"], **{f"ROLLOUT_{name}": value for name, value in told.items()}}


async def test_it_migrates_its_database_and_answers_with_nothing_else_up(postgres_url: str):
    for port in (free_port(), free_port()):
        settings = environment(postgres_url, port)
        async with service_process("headrace_rollout", settings, port, parts=PARTS) as (_, channel):
            answer = await rollout_pb2_grpc.RolloutServiceStub(channel).ListRollouts(REQUEST, timeout=10)
            assert not answer.rollouts


@pytest.mark.faults
async def test_without_its_database_predictions_go_on_and_its_calls_are_unavailable():
    # Nothing listens where the database should be.
    port = free_port()
    settings = environment(f"postgresql://nobody@127.0.0.1:{free_port()}/rollout", port)
    async with service_process("headrace_rollout", settings, port, parts=()) as (_, channel):
        stub = rollout_pb2_grpc.RolloutServiceStub(channel)
        with pytest.raises(AioRpcError) as refused:
            await stub.ListRollouts(REQUEST, timeout=30, wait_for_ready=True)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not await is_serving(channel, "")
