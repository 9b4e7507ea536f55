"""Identity, model patterns, request ids and trace context on real calls."""

import asyncio
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace_servicekit import error_details
from headrace_servicekit.calls import current_call
from headrace_servicekit.client import channel as kit_channel
from headrace_servicekit.denials import Denials
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import Identity, identity, model_not_found
from headrace_servicekit.testing import eventually, patience

from tests.kit.servicekit.toy import KINDS, Note, ToyStub, echoing, failing, handlers, pulling
from tests.kit.servicekit.toy_server import toy

pytestmark = pytest.mark.usefixtures("each_server")

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
PARTIAL = (("x-headrace-client", "alice"), ("x-headrace-models", "digits,fraud-*"))


@pytest.mark.parametrize("method", KINDS)
async def test_a_model_outside_the_callers_patterns_is_answered_like_one_that_does_not_exist(method):
    unknown = model_not_found("secret")
    async with toy(echoing()) as hiding, toy(failing(unknown)) as missing:
        note = Note(model="models/secret/versions/1" if method != "Answer" else "secret")
        hidden = await hiding.failure(method, note, metadata=PARTIAL)
        absent = await missing.failure(method, note)

    def seen(failure: grpc.aio.AioRpcError) -> Any:
        details = [value for key, value in failure.trailing_metadata() or () if key.endswith("-bin")]
        return failure.code(), failure.details(), details

    assert seen(hidden) == seen(absent)
    assert error_details.from_rpc_error(hidden).reason == "MODEL_NOT_FOUND"


@pytest.mark.parametrize("method", KINDS)
async def test_a_model_inside_the_patterns_passes(method):
    async with toy(echoing()) as running:
        answers = await running.stub.call(method, Note(model="models/fraud-eu", text="x"), metadata=PARTIAL)
    assert answers[0].text == "x"


@pytest.mark.parametrize("method", ["Collect", "Converse"])
async def test_every_message_of_a_request_stream_is_checked(method):
    async with toy(echoing()) as running:
        first, middle, last = Note(model="digits"), Note(text="chunk"), Note(model="secret")
        await running.stub.call(method, first, middle, metadata=PARTIAL)
        failure = await running.failure(method, first, middle, last, metadata=PARTIAL)
    assert failure.code() is grpc.StatusCode.NOT_FOUND


async def unending(_request: Any, _context: Any) -> Any:
    yield Note(text="first")
    await asyncio.Event().wait()


async def test_a_stream_ends_when_the_token_of_its_caller_expires():
    async with toy(handlers(Expand=unending, Converse=unending)) as running:
        for method in ("Expand", "Converse"):
            expiring = (*PARTIAL, ("x-headrace-token-expiry", f"{time.time() + 1:.3f}"))
            began = time.monotonic()
            failure = await running.failure(method, Note(model="digits"), metadata=expiring)
            assert 0.5 < time.monotonic() - began < patience(15)
            assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
            assert error_details.from_rpc_error(failure).reason == "TOKEN_EXPIRED"


async def test_streams_of_a_caller_that_is_denied_end_with_the_refusal_of_its_next_call():
    async def collect(requests: Any, _context: Any) -> Any:
        async for _ in requests:
            pass
        await asyncio.Event().wait()

    denials = Denials()
    streams = handlers(Expand=unending, Converse=unending, Collect=collect)
    async with toy(streams, denials=denials) as running:
        metadata = (*PARTIAL, ("x-headrace-token-expiry", f"{time.time() + 60:.0f}"))
        theirs = [
            asyncio.create_task(running.failure(method, Note(model="digits"), metadata=metadata))
            for method in ("Expand", "Converse", "Collect")
        ]
        other = asyncio.create_task(running.failure("Expand", metadata=(("x-headrace-client", "bob"),)))
        await eventually(lambda: running.active() == 4)
        denials.believe({"alice", "eve"})
        for failure in [*await asyncio.gather(*theirs), await running.failure("Expand", metadata=PARTIAL)]:
            got = error_details.from_rpc_error(failure)
            assert (got.code, got.reason) == (Code.PERMISSION_DENIED, "CLIENT_DENIED")
        assert not other.done()
        denials.believe({"bob"})
        assert error_details.from_rpc_error(await other).reason == "CLIENT_DENIED"


async def test_other_services_are_nobody_who_can_be_denied():
    denials = Denials()
    denials.believe({"", "internal"})
    async with toy(echoing(), denials=denials) as running:
        assert await running.stub.call("Expand", Note(model="digits"))


@pytest.mark.parametrize("method", KINDS)
async def test_what_ends_before_the_token_does_is_not_touched(method):
    expiring = (*PARTIAL, ("x-headrace-token-expiry", f"{time.time() + 60:.0f}"))
    async with toy(echoing()) as running:
        assert await running.stub.call(method, Note(model="digits"), metadata=expiring)


async def test_a_time_limit_of_the_handlers_own_is_not_taken_for_the_tokens():
    async def late(_request: Any, _context: Any) -> Any:
        raise TimeoutError
        yield

    expiring = (*PARTIAL, ("x-headrace-token-expiry", f"{time.time() + 60:.0f}"))
    async with toy(handlers(Expand=late)) as running:
        failure = await running.failure("Expand", Note(model="digits"), metadata=expiring)
    assert failure.code() is not grpc.StatusCode.UNAUTHENTICATED


async def test_messages_that_a_handler_reads_by_itself_are_checked_too():
    async with toy(pulling()) as running:
        assert len(await running.stub.call("Converse", Note(model="digits"), metadata=PARTIAL)) == 1
        failure = await running.failure("Converse", Note(model="secret"), metadata=PARTIAL)
    assert failure.code() is grpc.StatusCode.NOT_FOUND


async def test_a_model_named_deep_in_the_request_is_checked():
    async with toy(echoing()) as running:
        await running.stub.call("Nested", Note(inner=Note(model="digits")), metadata=PARTIAL)
        failure = await running.failure("Nested", Note(inner=Note(model="secret")), metadata=PARTIAL)
    assert failure.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_without_identity_headers_is_internal_and_sees_everything():
    async with toy(echoing()) as running:
        assert await running.stub.call("Answer", Note(model="secret"))
        assert await running.stub.call("Within", Note())


async def test_an_internal_method_is_refused_to_callers_from_outside():
    async with toy(echoing()) as running:
        got = error_details.from_rpc_error(await running.failure("Within", metadata=(("x-headrace-client", "alice"),)))
    assert (got.code, got.reason) == (Code.PERMISSION_DENIED, "INTERNAL_METHOD")


@pytest.mark.parametrize("name", ["x-headrace-client", "x-headrace-models"])
async def test_a_repeated_identity_header_is_refused(name):
    async with toy(echoing()) as running:
        got = error_details.from_rpc_error(await running.failure("Answer", metadata=((name, "a"), (name, "*"))))
    assert (got.code, got.reason) == (Code.UNAUTHENTICATED, "IDENTITY_REPEATED")


async def test_a_handler_knows_its_caller():
    seen: list[Identity] = []

    async def answer(request: Any, _context: Any) -> Any:
        seen.append(identity())
        return request

    async with toy(handlers(Answer=answer)) as running:
        await running.stub.call("Answer", Note(), metadata=PARTIAL)
    assert seen == [Identity("alice", ("digits", "fraud-*"))]


async def _request_id(running: Any, **options: Any) -> str:
    call = running.stub.Answer(Note(), timeout=10, **options)
    try:
        await call
    except grpc.aio.AioRpcError:
        pass
    ids = [value for key, value in await call.trailing_metadata() if key == "x-request-id"]
    assert len(ids) == 1
    return ids[0]


@pytest.mark.parametrize("method_handlers", [echoing(), failing(ValueError())], ids=["success", "failure"])
async def test_the_request_id_comes_back_in_the_trailers(method_handlers):
    async with toy(method_handlers) as running:
        assert await _request_id(running, metadata=(("x-request-id", "r-1"),)) == "r-1"
        assert len(await _request_id(running)) == 32


async def test_trailers_of_a_handler_stay_beside_the_request_id():
    async def answer(request: Any, context: Any) -> Any:
        context.set_trailing_metadata((("x-epoch", "7"),))
        return request

    async with toy(handlers(Answer=answer)) as running:
        call = running.stub.Answer(Note(), timeout=10)
        await call
        trailers = {key: value for key, value in await call.trailing_metadata()}  # noqa: C416 - pairs are objects
    assert trailers["x-epoch"] == "7"
    assert "x-request-id" in trailers


async def test_request_and_trace_are_handed_on_to_child_calls_but_identity_is_not():
    seen: list[tuple[str, str | None, str | None, Identity]] = []

    async def behind(request: Any, _context: Any) -> Any:
        call = current_call()
        assert call is not None
        seen.append((call.request_id, call.traceparent, call.tracestate, identity()))
        return request

    async def expand(request: Any, context: Any) -> Any:
        yield await behind(request, context)

    async with (
        toy(handlers(Answer=behind, Expand=expand)) as leaf,
        kit_channel(leaf.server.address) as inner,
    ):

        async def front(request: Any, _context: Any) -> Any:
            await ToyStub(inner).call("Answer", request)
            await ToyStub(inner).call("Expand", request, metadata=(("x-request-id", "mine"),))
            return request

        async with toy(handlers(Answer=front)) as root:
            headers = (("x-request-id", "r-1"), ("traceparent", TRACEPARENT), ("tracestate", "v=1"), *PARTIAL)
            await root.stub.call("Answer", Note(), metadata=headers)
    internal = Identity("internal", None, internal=True)
    assert seen == [("r-1", TRACEPARENT, "v=1", internal), ("mine", TRACEPARENT, "v=1", internal)]


async def test_a_malformed_trace_context_is_not_handed_on():
    seen: list[str | None] = []

    async def answer(request: Any, _context: Any) -> Any:
        call = current_call()
        seen.append(call.traceparent if call else "no call")
        return request

    async with toy(handlers(Answer=answer)) as running:
        await running.stub.call("Answer", Note(), metadata=(("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01"),))
    assert seen == [None]
