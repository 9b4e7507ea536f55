"""Channels of the kit against real peers: retries, health, deadlines, frozen peers."""

import asyncio
import signal
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace_servicekit.client import budget, channel
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.testing import eventually, free_port, patience

from tests.kit.servicekit.toy import SERVICE, Note, ToyStub, echoing, handlers
from tests.kit.servicekit.toy_process import toy_process
from tests.kit.servicekit.toy_server import toy


def _failing_first(times: int, calls: list[str]) -> dict[str, Any]:
    async def answer(request: Any, _context: Any) -> Any:
        calls.append(request.text)
        if len(calls) <= times:
            raise Unavailable("not now")
        return request

    return handlers(Answer=answer)


async def test_a_method_named_idempotent_is_repeated_when_its_peer_is_unavailable():
    calls: list[str] = []
    async with (
        toy(_failing_first(2, calls)) as running,
        channel(running.server.address, idempotent=[f"{SERVICE}/Answer"]) as opened,
    ):
        assert await ToyStub(opened).call("Answer", Note(text="x"))
    assert calls == ["x", "x", "x"]


async def test_a_channel_does_not_wait_because_another_one_found_nobody_at_its_address():
    port = free_port()
    async with channel(f"127.0.0.1:{port}") as early, channel(f"127.0.0.1:{port}") as late:
        with pytest.raises(grpc.aio.AioRpcError):
            await ToyStub(early).call("Answer", Note(text="x"))
        async with toy(echoing(), port=port):
            assert [answer.text for answer in await ToyStub(late).call("Answer", Note(text="x"))] == ["x"]


async def test_other_methods_are_not_repeated():
    calls: list[str] = []
    async with (
        toy(_failing_first(1, calls)) as running,
        channel(running.server.address, idempotent=[f"{SERVICE}/Expand"]) as opened,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ToyStub(opened).call("Answer", Note(text="x"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert calls == ["x"]


async def test_a_peer_that_is_not_serving_gets_no_calls_until_it_is():
    async with toy(echoing()) as running, channel(running.server.address) as opened:
        stub, health = ToyStub(opened), running.server.health
        assert await stub.call("Answer", Note())
        health.add("postgres")

        async def refused() -> bool:
            try:
                await stub.call("Answer", Note(), timeout=2)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await eventually(refused, within=10)
        health.set("postgres", True)
        assert await stub.call("Answer", Note(), timeout=10, wait_for_ready=True)


async def test_a_unary_call_without_timeout_has_the_channels_deadline():
    remaining: list[float | None] = []

    async def answer(request: Any, context: Any) -> Any:
        remaining.append(context.time_remaining())
        return request

    async with (
        toy(handlers(Answer=answer)) as running,
        channel(running.server.address, default_timeout_s=3) as opened,
    ):
        await ToyStub(opened).Answer(Note())
        await ToyStub(opened).Answer(Note(), timeout=1)
    # On the wire a timeout is rounded up by up to a hundredth.
    assert remaining == [pytest.approx(3, abs=0.5), pytest.approx(1, abs=0.5)]


async def test_a_stream_without_timeout_has_no_deadline():
    remaining: list[float | None] = []

    async def expand(request: Any, context: Any) -> Any:
        remaining.append(context.time_remaining())
        yield request

    async with toy(handlers(Expand=expand)) as running, channel(running.server.address) as opened:
        assert [note async for note in ToyStub(opened).Expand(Note())]
    assert remaining == [None]


async def test_the_callers_deadline_reaches_the_second_service_and_its_cancellation_too():
    remaining: list[float | None] = []
    ended = asyncio.Event()

    async def leaf(_request: Any, context: Any) -> Any:
        remaining.append(context.time_remaining())
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with toy(handlers(Answer=leaf)) as behind, channel(behind.server.address) as opened:

        async def front(request: Any, context: Any) -> Any:
            return await ToyStub(opened).Answer(request, timeout=budget(context.time_remaining(), 30))

        async with toy(handlers(Answer=front)) as first:
            failure = await first.failure("Answer", timeout=0.5)
            assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await asyncio.wait_for(ended.wait(), 5)
    assert 0 < (remaining[0] or 0) < 0.51


async def test_requests_by_keyword_pass():
    async with toy(echoing()) as running, channel(running.server.address) as opened:
        stub = ToyStub(opened)
        assert (await stub.Answer(request=Note(text="x"))).text == "x"
        assert (await stub.Collect(request_iterator=iter([Note(text="y")]), timeout=5)).text == "y"


@pytest.mark.faults
async def test_a_frozen_peer_is_noticed_within_seconds():
    async with toy_process(call_s=60) as process:
        port = (await process.line("started"))["ports"][0]
        async with channel(f"127.0.0.1:{port}", health_checked=False) as opened:
            call = asyncio.create_task(ToyStub(opened).call("Answer", Note(), timeout=60))
            await process.line("call began")
            process.send(signal.SIGSTOP)
            frozen = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - frozen < patience(20)


@pytest.mark.long
async def test_an_idle_connection_that_pings_is_kept():
    peers: list[str] = []

    async def answer(request: Any, context: Any) -> Any:
        peers.append(context.peer())
        return request

    options = [("grpc.keepalive_time_ms", 1050)]  # nearly as often as our servers allow
    async with (
        toy(handlers(Answer=answer)) as running,
        channel(running.server.address, health_checked=False, options=options) as opened,
    ):
        await ToyStub(opened).call("Answer", Note())
        await asyncio.sleep(6)  # idleness is what is tested: a server that minds cuts off after three pings
        await ToyStub(opened).call("Answer", Note())
    assert peers[0] == peers[1]


async def test_an_argument_given_to_a_channel_counts_instead_of_the_kits():
    tries: list[float] = []

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(time.monotonic())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        quick = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
        async with channel(target, options=quick) as connection:
            stub = ToyStub(connection)

            async def has_tried_often() -> bool:
                with pytest.raises(grpc.aio.AioRpcError):
                    await stub.call("Answer", Note(), timeout=1)
                return len(tries) >= 20

            await eventually(has_tried_often, within=10)
    # With the kit's own back-off of up to 2 s the last ten would take at least half a minute.
    assert tries[19] - tries[9] < 10
