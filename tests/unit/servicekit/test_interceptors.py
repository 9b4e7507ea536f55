"""What cannot be arranged with a real client: a call whose deadline has passed when it begins; and whose call it is."""

import contextlib
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2
from headrace.router.v1 import control_pb2
from headrace_servicekit import error_details
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.interceptors import Interceptors
from headrace_servicekit.metrics import RpcMetrics
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.kit.servicekit.toy import SERVICE, Note, handlers


class _Context:
    """A servicer context as far as the interceptors use it."""

    def __init__(self, remaining: float | None, headers: tuple = ()) -> None:
        self._remaining, self._headers = remaining, headers
        self.ended: tuple[grpc.StatusCode, str, tuple] | None = None
        self.trailers: tuple = ()

    def invocation_metadata(self) -> tuple:
        return self._headers

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


FORWARDED = (("x-headrace-edge", "1"),)
BY_ANN = (*FORWARDED, ("x-headrace-client", "ann"), ("x-headrace-models", "*"))


async def _forwarded(method: str, headers: tuple) -> tuple[_Context, float]:
    """Make a call with these headers; return how it ended, and how many calls without an identity were counted."""

    async def answer(request: Any, _context: Any) -> Any:
        return request

    registry = CollectorRegistry()
    around = Interceptors(RpcMetrics(registry), access_log=False)
    handler: Any = around.wrap(method, handlers(Answer=answer)["Answer"])
    context = _Context(None, headers)
    counted = "rpc_server_unidentified_calls_total"
    assert registry.get_sample_value(counted, {"rpc_method": method}) == 0  # from the start, so that an alert sees one
    with contextlib.suppress(grpc.aio.AbortError):
        await handler.unary_unary(Note(text="x").SerializeToString(), context)
    return context, registry.get_sample_value(counted, {"rpc_method": method}) or 0.0


@pytest.mark.parametrize("headers", [FORWARDED, BY_ANN[:2], (FORWARDED[0], BY_ANN[2])])
async def test_a_call_that_the_front_door_forwards_without_an_identity_is_refused_and_counted(headers: tuple):
    context, counted = await _forwarded(f"/{SERVICE}/Answer", headers)
    assert context.ended is not None
    assert context.ended[0] is grpc.StatusCode.UNAUTHENTICATED
    status = status_pb2.Status.FromString(dict(context.ended[2])["grpc-status-details-bin"])
    assert error_details.from_status(status).reason == "IDENTITY_MISSING"
    assert counted == 1


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        pytest.param(f"/{SERVICE}/Answer", BY_ANN, id="it says who calls"),
        pytest.param("/grpc.health.v1.Health/Check", FORWARDED, id="health is asked by anybody"),
    ],
)
async def test_what_the_front_door_may_forward_is_served(method: str, headers: tuple):
    context, counted = await _forwarded(method, headers)
    assert (context.ended, counted) == (None, 0)


REPORT = f"/{control_pb2.DESCRIPTOR.services_by_name['ControlService'].full_name}/ReportVersions"


@pytest.mark.parametrize(
    ("method", "error", "level"),
    [
        pytest.param(REPORT, None, "debug", id="a report that a component repeats"),
        pytest.param("/grpc.health.v1.Health/Check", None, "debug", id="a probe"),
        pytest.param(REPORT, Unavailable("stopping", reason="STOPPING"), "info", id="a report that is refused"),
        pytest.param(f"/{SERVICE}/Answer", None, "info", id="a call"),
    ],
)
async def test_what_components_repeat_to_each_other_is_logged_at_debug_unless_it_fails(
    method: str, error: Exception | None, level: str
):
    async def answer(request: Any, _context: Any) -> Any:
        if error is not None:
            raise error
        return request

    with capture_logs() as logs:
        around = Interceptors(RpcMetrics(CollectorRegistry()))
        handler: Any = around.wrap(method, handlers(Answer=answer)["Answer"])
        with contextlib.suppress(grpc.aio.AbortError):
            await handler.unary_unary(Note(text="x").SerializeToString(), _Context(None))
    assert [(line["method"], line["log_level"]) for line in logs if line["event"] == "rpc"] == [(method, level)]
