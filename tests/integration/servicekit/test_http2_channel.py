"""The channel on the event loop, against either server: what grpc.aio's own would give, without its threads."""

import asyncio
import signal
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace_batcher.backend import SILENT_S
from headrace_servicekit import error_details, errors
from headrace_servicekit.http2.channel import Channel
from headrace_servicekit.http2.stream import STREAM_WINDOW
from headrace_servicekit.testing import eventually, free_port
from headrace_servicekit.tls import Tls, client_context

from tests.kit.servicekit.toy import SERVICE, Note, echoing, failing, handlers, holding
from tests.kit.servicekit.toy_process import toy_process
from tests.kit.servicekit.toy_server import toy
from tests.kit.wire.certificates import Authority
from tests.kit.wire.forwarder import Forwarder

pytestmark = pytest.mark.usefixtures("each_server")

MIB = 1024 * 1024


class Caller:
    """Calls to the toy service by our channel."""

    def __init__(self, channel: Channel) -> None:
        kinds: Any = {"request_serializer": Note.SerializeToString, "response_deserializer": Note.FromString}
        self.answer = channel.unary_unary(f"/{SERVICE}/Answer", **kinds)
        self.converse = channel.stream_stream(f"/{SERVICE}/Converse", **kinds)

    async def failure(self, note: Any = None, timeout: float = 20) -> grpc.aio.AioRpcError:
        """Call a method that must fail; return how it did."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.answer(note or Note(), timeout=timeout)
        return caught.value


async def test_many_calls_at_once_each_get_their_own_answer():
    async with toy(echoing()) as running, Channel(running.server.address) as channel:
        caller = Caller(channel)
        answers = await asyncio.gather(*(caller.answer(Note(text=str(n)), timeout=20) for n in range(90)))
    assert [answer.text for answer in answers] == [str(n) for n in range(90)]


@pytest.mark.parametrize("size", [0, 16_383, 16_384, 65_536, 5 * MIB])
async def test_messages_of_every_size_come_back_whole(size: int):
    async with (
        toy(echoing(), max_message_bytes=6 * MIB) as running,
        Channel(running.server.address) as channel,
    ):
        note = Note(text="x" * size)
        assert await Caller(channel).answer(note, timeout=60) == note


async def test_an_error_arrives_with_its_code_message_and_trailers():
    raised = errors.InvalidArgument("wert – falsch", reason="SOME_REASON")
    async with toy(failing(raised)) as running, Channel(running.server.address) as channel:
        error = await Caller(channel).failure()
    got = error_details.from_rpc_error(error)
    assert (got.code, got.public_message, got.reason) == (errors.Code.INVALID_ARGUMENT, "wert – falsch", "SOME_REASON")


async def test_a_method_that_nobody_serves_is_unimplemented():
    async with toy(echoing()) as running, Channel(running.server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/nobody.v1.Nobody/Do", bytes, bytes)(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_answer_above_the_bound_is_refused_and_the_connection_goes_on():
    async with (
        toy(echoing()) as running,
        Channel(running.server.address, max_message_bytes=100) as channel,
    ):
        caller = Caller(channel)
        assert (await caller.failure(Note(text="x" * 200))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await caller.answer(Note(text="y"), timeout=20)).text == "y"


async def test_a_deadline_ends_the_call_on_both_sides():
    cancelled = asyncio.Event()

    async def answer(_request: Any, _context: Any) -> Any:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with toy(handlers(Answer=answer)) as running, Channel(running.server.address) as channel:
        assert (await Caller(channel).failure(timeout=0.2)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(cancelled.wait(), 20)


async def test_a_caller_that_is_cancelled_cancels_the_handler():
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(_request: Any, _context: Any) -> Any:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with toy(handlers(Answer=answer)) as running, Channel(running.server.address) as channel:
        call = asyncio.create_task(Caller(channel).answer(Note(), timeout=60))
        await asyncio.wait_for(begun.wait(), 20)
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), 20)


async def test_a_stream_goes_both_ways_until_it_is_cancelled():
    async with toy(echoing()) as running, Channel(running.server.address) as channel:
        call = Caller(channel).converse()
        for size in (1, 70_000, 3 * MIB, 0):
            await call.write(Note(text="z" * size))
            assert len((await call.read()).text) == size
        await eventually(lambda: running.active() == 1)
        call.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.CANCELLED
        await eventually(lambda: running.active() == 0)


async def test_a_stream_that_the_server_ends_is_at_its_end():
    async def converse(_requests: Any, context: Any) -> None:
        await context.write(Note(text="only"))

    async with toy(handlers(Converse=converse)) as running, Channel(running.server.address) as channel:
        call = Caller(channel).converse()
        assert (await call.read()).text == "only"
        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined]


async def test_a_writer_waits_for_a_server_that_does_not_read():
    go_on = asyncio.Event()

    async def converse(requests: Any, _context: Any) -> Any:
        await go_on.wait()
        async for request in requests:
            yield Note(text=str(len(request.text)))

    async with toy(handlers(Converse=converse)) as running, Channel(running.server.address) as channel:
        call = Caller(channel).converse()
        count = 3 * STREAM_WINDOW // MIB
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(count):
                await call.write(Note(text="x" * MIB))
                written += 1

        writing = asyncio.create_task(write())
        settled = 0

        async def stands_still() -> bool:
            nonlocal settled
            before, settled = settled, written
            return written > 0 and before == written

        await eventually(stands_still, within=30, every=0.5)
        assert written < count
        go_on.set()
        for _ in range(count):
            assert (await call.read()).text == str(MIB)
        await writing
        call.cancel()


async def test_calls_in_flight_are_unavailable_when_the_server_is_killed_and_the_next_server_is_found():
    port = free_port()
    hold = asyncio.Event()

    async def answer(request: Any, _context: Any) -> Any:
        if request.text == "held":
            await hold.wait()
        return request

    async with Channel(f"127.0.0.1:{port}") as channel:
        caller = Caller(channel)
        assert (await caller.failure()).code() is grpc.StatusCode.UNAVAILABLE
        for _ in range(2):
            async with toy(handlers(Answer=answer), port=port) as running:
                await caller.answer(Note(text="x"), timeout=20)
                held = asyncio.create_task(caller.failure(Note(text="held")))
                await eventually(lambda now=running: now.active() == 1)
            assert (await held).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_server_that_stops_lets_calls_in_flight_end():
    release, answering = holding()
    async with toy(answering) as running, Channel(running.server.address) as channel:
        call = asyncio.create_task(Caller(channel).answer(Note(text="kept"), timeout=30))
        await eventually(lambda: running.active() == 1)
        stopping = asyncio.create_task(running.server.stop(20))
        await eventually(lambda: channel.open_connection() is None)  # it was told to begin nothing more here
        release.set()
        assert (await call).text == "kept"
        await asyncio.wait_for(stopping, 20)
        assert (await Caller(channel).failure()).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.faults
async def test_a_frozen_server_is_noticed_by_its_silence(each_server: bool):
    async with toy_process(call_s=60, on_the_loop=each_server) as process:
        port = (await process.line("started"))["ports"][0]
        async with Channel(f"127.0.0.1:{port}") as channel:
            call = asyncio.create_task(Caller(channel).failure(timeout=60))
            await process.line("call began")
            process.send(signal.SIGSTOP)
            assert (await asyncio.wait_for(call, 30)).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.long
async def test_a_server_that_is_silent_but_there_is_kept():
    async with (
        toy(echoing()) as running,
        Channel(running.server.address, keepalive_s=1.1) as channel,
    ):
        caller = Caller(channel)
        await caller.answer(Note(), timeout=20)
        connection = channel.open_connection()
        assert connection is not None
        heard = connection.heard
        await eventually(lambda: connection.heard > heard + 2, within=30)  # its answers to our pings, and nothing else
        assert channel.open_connection() is connection


@pytest.mark.faults
async def test_a_half_open_link_is_noticed_within_five_seconds_without_pings():
    async with toy(echoing()) as running:
        host, _, port = running.server.address.rpartition(":")
        async with (
            Forwarder(host, int(port)) as forwarder,
            Channel(
                f"127.0.0.1:{forwarder.port}", keepalive_s=SILENT_S, keepalive_timeout_s=SILENT_S, pings=False
            ) as channel,
        ):
            caller = Caller(channel)
            await caller.answer(Note(), timeout=20)
            forwarder.lose()

            async def answered() -> bool:
                try:
                    await caller.answer(Note(), timeout=0.9)
                except grpc.aio.AioRpcError:
                    return False
                return True

            await eventually(answered, within=5)


async def test_a_server_that_nobody_asks_is_kept_without_pings():
    async with (
        toy(echoing()) as running,
        Channel(running.server.address, keepalive_s=0.1, keepalive_timeout_s=0.1, pings=False) as channel,
    ):
        caller = Caller(channel)
        await caller.answer(Note(), timeout=20)
        connection = channel.open_connection()
        await asyncio.sleep(0.5)  # several times what it may be silent for when it is asked
        assert channel.open_connection() is connection
        await caller.answer(Note(), timeout=20)


async def test_a_server_that_waits_for_a_slow_reader_is_kept_without_pings():
    async with (
        toy(echoing(), max_message_bytes=6 * MIB) as running,
        Channel(running.server.address, keepalive_s=0.2, keepalive_timeout_s=0.2, pings=False) as channel,
    ):
        call, note = Caller(channel).converse(), Note(text="x" * 5 * MIB)
        for _ in range(2):
            await call.write(note)
        connection = channel.open_connection()
        assert connection is not None
        await eventually(lambda: not connection.awaited, within=20)
        await asyncio.sleep(1)  # several times what it may be silent for when it is let send
        assert channel.open_connection() is connection
        assert [await call.read() for _ in range(2)] == [note] * 2
        call.cancel()


async def test_mutual_tls_names_both_sides(tmp_path):
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    pem, friend, stranger = authority.issue("server"), authority.issue("friend"), foreign.issue("stranger")

    async def outcome(target: str, tls: Tls, name: str | None = None) -> grpc.StatusCode:
        async with Channel(target, tls=client_context(tls), server_name=name) as channel:
            try:
                await Caller(channel).answer(Note(), timeout=20)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    async with toy(echoing(), tls=Tls(pem.cert, pem.key, authority.ca)) as running:
        target = running.server.address
        own = Tls(friend.cert, friend.key, authority.ca)
        assert await outcome(target, own) is grpc.StatusCode.OK
        assert await outcome(target, own, "somebody.else") is grpc.StatusCode.UNAVAILABLE
        assert await outcome(target, Tls(ca=authority.ca)) is grpc.StatusCode.UNAVAILABLE
        assert await outcome(target, Tls(stranger.cert, stranger.key, authority.ca)) is grpc.StatusCode.UNAVAILABLE
        assert await outcome(target, Tls(friend.cert, friend.key, foreign.ca)) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
async def test_a_unix_socket_is_called_as_an_address_is_and_again_when_its_server_is_back(tmp_path, scheme: str):
    path = tmp_path / "s:1"
    async with Channel(f"{scheme}{path}") as channel:
        caller = Caller(channel)
        for _ in range(2):
            error = await caller.failure()
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert f"no connection to {scheme}{path}" in str(error.details())
            server: Any = grpc.aio.server()
            server.add_registered_method_handlers(SERVICE, echoing())
            server.add_insecure_port(f"unix:{path}")
            await server.start()
            answers = await asyncio.gather(*(caller.answer(Note(text=str(n)), timeout=20) for n in range(9)))
            assert [answer.text for answer in answers] == [str(n) for n in range(9)]
            await server.stop(None)
