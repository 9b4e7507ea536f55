"""What a caller sees of each way a handler can end, for handlers of all four kinds."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit import error_details, errors
from headrace_servicekit.errors import Code, FieldViolation, ServiceError
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, serving

from tests.kit.servicekit.toy import KINDS, SERVICE, Note, echoing, failing, handlers, pulling
from tests.kit.servicekit.toy_server import toy

pytestmark = pytest.mark.usefixtures("each_server")

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
CLASSES.remove(ServiceError)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
async def test_a_typed_error_arrives_whole(kind):
    raised = kind(
        "version 3 – no",
        reason="SOME_REASON",
        violations=[FieldViolation("inputs[0].shape", "has 2 dimensions, wants 1")],
        metadata={"model": "digits"},
        retry_after_s=0.25,
    )
    async with toy(failing(raised)) as running:
        got = error_details.from_rpc_error(await running.failure("Answer"))
        await eventually(lambda: running.counted("Answer", kind.code.name) == 1)
    assert type(got) is kind
    assert (got.public_message, got.reason) == ("version 3 – no", "SOME_REASON")
    assert (got.violations, got.metadata, got.retry_after_s) == (raised.violations, {"model": "digits"}, 0.25)


async def test_an_error_with_thousands_of_violations_still_arrives():
    raised = errors.InvalidArgument("wrong", violations=[FieldViolation(f"f[{i}]", "é" * 50) for i in range(5000)])
    async with toy(failing(raised)) as running:
        got = error_details.from_rpc_error(await running.failure("Answer"))
    assert (got.code, got.public_message) == (Code.INVALID_ARGUMENT, "wrong")
    assert got.violations[-1].description.startswith("and ")


@pytest.mark.parametrize("method", KINDS)
async def test_a_typed_error_has_its_status_in_every_kind_of_call(method):
    async with toy(failing(errors.PreconditionFailed("gates", reason="GATE"))) as running:
        got = error_details.from_rpc_error(await running.failure(method))
        await eventually(lambda: running.counted(method, "FAILED_PRECONDITION") == 1)
        assert running.active() == 0
    assert (got.code, got.reason) == (Code.FAILED_PRECONDITION, "GATE")


@pytest.mark.parametrize("method", KINDS)
async def test_an_unexpected_error_is_internal_and_its_text_stays_inside(method):
    async with toy(failing(ValueError("password is hunter2"))) as running:
        labels = {"rpc_method": f"/{SERVICE}/{method}"}
        # From 0: an alert on its increase sees the first one.
        assert running.registry.get_sample_value("rpc_server_unhandled_errors_total", labels) == 0
        failure = await running.failure(method)
        assert running.registry.get_sample_value("rpc_server_unhandled_errors_total", labels) == 1
    got = error_details.from_rpc_error(failure)
    assert (got.code, got.public_message, got.reason) == (Code.INTERNAL, "internal error", "INTERNAL")
    assert "hunter2" not in failure.debug_error_string() + str(failure.trailing_metadata())


@pytest.mark.parametrize("method", KINDS)
async def test_a_cancellation_from_inside_is_unavailable_rather_than_silence(method):
    async with toy(failing(asyncio.CancelledError())) as running:
        got = error_details.from_rpc_error(await running.failure(method))
        await eventually(lambda: running.counted(method, "UNAVAILABLE") == 1)
    assert (got.code, got.reason) == (Code.UNAVAILABLE, "STOPPED")


async def test_a_call_that_waits_for_a_cancelled_task_is_unavailable():
    async def answer(_request: Any, _context: Any) -> Any:
        inner = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(inner.cancel)
        await inner

    async with toy(handlers(Answer=answer)) as running:
        assert (await running.failure("Answer")).code() is grpc.StatusCode.UNAVAILABLE


async def test_a_task_group_that_failed_with_typed_errors_tells_the_first():
    async def answer(_request: Any, _context: Any) -> Any:
        async def fail() -> None:
            raise errors.NotFound("version 3 not found", reason="VERSION_NOT_FOUND")

        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async with toy(handlers(Answer=answer)) as running:
        assert error_details.from_rpc_error(await running.failure("Answer")).reason == "VERSION_NOT_FOUND"


async def test_a_task_group_with_one_defect_in_it_is_internal():
    group = ExceptionGroup("two", [errors.NotFound("x"), KeyError("hunter2")])
    async with toy(failing(group)) as running:
        assert (await running.failure("Answer")).details() == "internal error"


@pytest.mark.parametrize(
    ("peer", "code", "reason"),
    [
        (errors.Unavailable("down"), Code.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"),
        (errors.DeadlineExceeded("slow"), Code.DEADLINE_EXCEEDED, "DEPENDENCY_SLOW"),
        (errors.NotFound("a row of theirs"), Code.INTERNAL, "INTERNAL"),
    ],
    ids=["a peer that is down", "a peer that is slow", "an answer that should have been handled"],
)
async def test_a_peers_failure_that_nobody_handled(peer, code, reason):
    async with toy(failing(peer)) as behind:

        async def answer(request: Any, _context: Any) -> Any:
            return (await behind.stub.call("Answer", request))[0]

        async with toy(handlers(Answer=answer)) as front:
            got = error_details.from_rpc_error(await front.failure("Answer"))
    assert (got.code, got.reason) == (code, reason)


async def test_a_status_that_a_handler_aborts_with_stays_as_it_is():
    async def answer(_request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "past the end")

    async with toy(handlers(Answer=answer)) as running:
        failure = await running.failure("Answer")
        await eventually(lambda: running.counted("Answer", "OUT_OF_RANGE") == 1)
    assert (failure.code(), failure.details()) == (grpc.StatusCode.OUT_OF_RANGE, "past the end")


async def test_a_status_that_a_handler_sets_by_hand_is_sent_and_counted():
    async def answer(_request: Any, context: Any) -> Any:
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        context.set_details("past the end")

    async with toy(handlers(Answer=answer)) as running:
        failure = await running.failure("Answer")
        await eventually(lambda: running.counted("Answer", "OUT_OF_RANGE") == 1)
    assert (failure.code(), failure.details()) == (grpc.StatusCode.OUT_OF_RANGE, "past the end")


@pytest.mark.parametrize(
    ("method", "wrong"), [("Answer", None), ("Collect", "text"), ("Expand", 7), ("Converse", object())]
)
async def test_an_answer_that_cannot_be_encoded_is_internal(method, wrong):
    async def unary(_request: Any, _context: Any) -> Any:
        return wrong

    async def generator(_request: Any, _context: Any) -> Any:
        yield wrong

    behaviour = unary if method in ("Answer", "Collect") else generator
    async with toy(handlers(**{method: behaviour})) as running:
        failure = await running.failure(method)
    assert failure.code() == grpc.StatusCode.INTERNAL
    # The second is the caller's own, when its writing meets the end of the call.
    assert failure.details() in ("internal error", "Internal error from Core")


async def _send_bytes(channel: grpc.aio.Channel, method: str, data: bytes) -> None:
    path = f"/{SERVICE}/{method}"
    if method == "Answer":
        await channel.unary_unary(path)(data, timeout=10)
    elif method == "Collect":
        await channel.stream_unary(path)(iter([data]), timeout=10)
    elif method == "Expand":
        _ = [answer async for answer in channel.unary_stream(path)(data, timeout=10)]
    else:
        _ = [answer async for answer in channel.stream_stream(path)(iter([data]), timeout=10)]


@pytest.mark.parametrize("method", KINDS)
async def test_bytes_that_are_no_message_are_the_callers_fault(method):
    async with toy(echoing()) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _send_bytes(channel, method, b"\xff\xff\xff")
    got = error_details.from_rpc_error(caught.value)
    assert (got.code, got.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_a_generated_method_that_was_not_written_is_unimplemented():
    class Registry(registry_pb2_grpc.RegistryServiceServicer):
        """Nothing of it."""

    async with (
        serving(lambda server: registry_pb2_grpc.add_RegistryServiceServicer_to_server(Registry(), server)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await stub.GetModel(registry_pb2.GetModelRequest(name="models/x"), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            _ = [answer async for answer in stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=10)]
    assert unary.value.code() is stream.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_method_is_unimplemented():
    async with toy(echoing()) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Nothing")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_blocking_handler_is_refused_when_it_is_registered():
    def blocking(_request: Any, _context: Any) -> Any:
        return Note()

    server = Server()
    with pytest.raises(TypeError, match="Answer: the handler must be `async def`"):
        server.add_registered_method_handlers(SERVICE, handlers(Answer=blocking))
    await server.stop(0)


async def test_a_caller_that_leaves_cancels_the_handler_and_closes_its_generator():
    closed = asyncio.Event()

    async def expand(request: Any, _context: Any) -> Any:
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with toy(handlers(Expand=expand)) as running:
        call = running.stub.Expand(Note(text="x"))
        assert (await call.read()).text == "x"
        call.cancel()
        await asyncio.wait_for(closed.wait(), 5)
        await eventually(lambda: running.counted("Expand", "CANCELLED") == 1)
        assert running.active() == 0


async def test_a_deadline_that_passes_ends_the_handler_and_is_counted_as_such():
    async def answer(_request: Any, _context: Any) -> Any:
        await asyncio.Event().wait()

    async with toy(handlers(Answer=answer)) as running:
        assert (await running.failure("Answer", timeout=0.2)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        # The server learns of it by its own timer or by the caller's reset, whichever is first.
        await eventually(
            lambda: running.counted("Answer", "DEADLINE_EXCEEDED") or running.counted("Answer", "CANCELLED")
        )
        assert running.active() == 0


@pytest.mark.parametrize("method", KINDS)
async def test_answers_pass_unchanged(method):
    async with toy(echoing()) as running:
        answers = await running.stub.call(method, Note(text="a"), Note(text="b"))
        await eventually(lambda: running.counted(method, "OK") == 1)
    expected = {"Answer": ["a"], "Collect": ["b"], "Expand": ["a", "a"], "Converse": ["a", "b"]}
    assert [answer.text for answer in answers] == expected[method]


async def test_handlers_that_read_and_write_by_themselves_work():
    async with toy(pulling()) as running:
        answers = await running.stub.call("Converse", Note(text="a"), Note(text="b"))
    assert [answer.text for answer in answers] == ["a", "b"]
