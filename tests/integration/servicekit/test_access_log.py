"""One line for each call, with what an operator searches for."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.calls import current_call
from headrace_servicekit.errors import NotFound
from headrace_servicekit.logs import set_up_logs
from headrace_servicekit.testing import eventually

from tests.kit.servicekit.toy import KINDS, SERVICE, Note, echoing, failing, handlers
from tests.kit.servicekit.toy_server import toy

pytestmark = pytest.mark.usefixtures("each_server")

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("toy", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


def _lines(stream: io.StringIO, event: str = "rpc") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("method", KINDS)
async def test_every_kind_of_call_writes_one_line(stream, method):
    headers = (
        ("x-request-id", "r-1"),
        ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"),
        ("x-headrace-client", "alice"),
    )
    async with toy(echoing(), access_log=True) as running:
        await running.stub.call(method, Note(text="payload"), metadata=headers)
        await eventually(lambda: len(_lines(stream)) == 1)
    (line,) = _lines(stream)
    assert (line["method"], line["code"], line["client"]) == (f"/{SERVICE}/{method}", "OK", "alice")
    assert (line["request_id"], line["trace_id"]) == ("r-1", TRACE_ID)
    assert line["ms"] >= 0
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert "payload" not in stream.getvalue()


async def test_an_expected_error_is_one_line_without_a_stack(stream):
    async with toy(failing(NotFound("model 'x' not found")), access_log=True) as running:
        await running.failure("Answer")
        await eventually(lambda: _lines(stream))
    (line,) = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["code"], "exception" in line) == ("NOT_FOUND", False)


async def test_a_defect_is_logged_once_with_its_stack_and_the_callers_request_id(stream):
    async with toy(failing(KeyError("row")), access_log=True) as running:
        await running.failure("Answer", metadata=(("x-request-id", "r-2"),))
    (line,) = _lines(stream, "unhandled error")
    assert (line["request_id"], line["level"]) == ("r-2", "error")
    assert "KeyError: 'row'" in line["exception"]


async def test_lines_of_a_handler_carry_the_call(stream):
    async def answer(request: Any, _context: Any) -> Any:
        structlog.get_logger().info("promoted")
        assert current_call() is not None
        return request

    async with toy(handlers(Answer=answer)) as running:
        await running.stub.call("Answer", Note(), metadata=(("x-request-id", "r-3"),))
    (line,) = _lines(stream, "promoted")
    assert line["request_id"] == "r-3"


async def test_health_probes_are_not_logged_unless_they_fail(stream):
    async with (
        toy(echoing(), access_log=True) as running,
        grpc.aio.insecure_channel(running.server.address) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=10)
        await eventually(lambda: _lines(stream))
    assert [line["code"] for line in _lines(stream)] == ["NOT_FOUND"]
