"""`python -m headrace_scorer` without what it needs."""

import os

import grpc
import pytest
from grpc.aio import AioRpcError
from headrace.scorer.v1 import scorer_pb2, scorer_pb2_grpc
from headrace_servicekit.testing import free_port

from tests.kit.stack.service_process import is_serving, service_process

REQUEST = scorer_pb2.ListScoringJobsRequest()


def environment(url: str, port: int) -> dict[str, str]:
    told = {
        "DATABASE_URL": url,
        "PORT": str(port),
        "METRICS_PORT": "0",
        "DRAIN_NOTICE_S": "0.1",
        "S3_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "REGISTRY_TARGET": f"127.0.0.1:{free_port()}",
        "CONTROL_TARGET": f"127.0.0.1:{free_port()}",
        "DATA_TARGET": f"127.0.0.1:{free_port()}",
    }
    return {"PATH": os.environ["PATH"], **{f"SCORER_{name}": value for name, value in told.items()}}


@pytest.mark.faults
async def test_without_its_database_predictions_go_on_and_its_calls_are_unavailable():
    # Nothing listens where the database should be.
    port = free_port()
    settings = environment(f"postgresql://nobody@127.0.0.1:{free_port()}/scorer", port)
    async with service_process("headrace_scorer", settings, port, parts=()) as (_, channel):
        stub = scorer_pb2_grpc.ScorerServiceStub(channel)
        with pytest.raises(AioRpcError) as refused:
            await stub.ListScoringJobs(REQUEST, timeout=30, wait_for_ready=True)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not await is_serving(channel, "")
