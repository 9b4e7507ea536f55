"""What cannot be arranged with a real client: a call whose deadline has passed when it begins."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from headrace_servicekit import error_details
from headrace_servicekit.interceptors import Interceptors
from headrace_servicekit.metrics import RpcMetrics
from prometheus_client import CollectorRegistry

from tests.kit.toy import SERVICE, Note, handlers


class _Context:
    """A servicer context as far as the interceptors use it."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining
        self.ended: tuple[grpc.StatusCode, str, tuple] | None = None
        self.trailers: tuple = ()

    def invocation_metadata(self) -> tuple:
        return ()

    def time_remaining(self) -> float | None:
        return self._remaining

    def code(self) -> int:
        return 0 if self.ended is None else self.ended[0].value[0]

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def trailing_metadata(self) -> tuple:
        return self.trailers

    def set_trailing_metadata(self, trailers: tuple) -> None:
        self.trailers = trailers

    async def abort(self, code: grpc.StatusCode, details: str, trailers: tuple) -> None:
        self.ended = (code, details, trailers)
        raise grpc.aio.AbortError


async def _call(remaining: float | None) -> tuple[list[str], _Context, Any]:
    ran: list[str] = []

    async def answer(request: Any, _context: Any) -> Any:
        ran.append(request.text)
        return request

    around = Interceptors(RpcMetrics(CollectorRegistry()), access_log=False)
    handler: Any = around.wrap(f"/{SERVICE}/Answer", handlers(Answer=answer)["Answer"])
    context = _Context(remaining)
    try:
        answered = await handler.unary_unary(Note(text="x").SerializeToString(), context)
    except grpc.aio.AbortError:
        answered = None
    return ran, context, answered


@pytest.mark.parametrize("remaining", [0.0, -0.5])
async def test_a_call_whose_deadline_has_passed_does_not_reach_its_handler(remaining):
    ran, context, answered = await _call(remaining)
    assert (ran, answered) == ([], None)
    assert context.ended is not None
    code, _, trailers = context.ended
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    status = status_pb2.Status.FromString(dict(trailers)["grpc-status-details-bin"])
    assert error_details.from_status(status).reason == "DEADLINE_PASSED"


@pytest.mark.parametrize("remaining", [None, 0.001, 5.0])
async def test_a_call_with_time_left_or_without_deadline_runs(remaining):
    ran, context, answered = await _call(remaining)
    assert ran == ["x"]
    assert Note.FromString(answered).text == "x"
    assert [key for key, _ in context.trailers] == ["x-request-id"]
