"""The life of a service process: start, ready, drain, stop, and each way it can go wrong."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, patience

from tests.kit.servicekit.toy import Note, ToyStub
from tests.kit.servicekit.toy_process import ToyProcess, toy_process

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(params=[False, True], ids=["grpc.aio", "on-the-loop"])
def on_the_loop(request: pytest.FixtureRequest) -> bool:
    """Each way of serving, of a process: `each_server` reaches the servers of this one only."""
    return request.param


@asynccontextmanager
async def _running(**settings: object) -> AsyncIterator[tuple[ToyProcess, str]]:
    async with toy_process(**settings) as process:
        started = await process.line("started")
        yield process, f"127.0.0.1:{started['ports'][0]}"


async def _watch(target: str, act: Callable[[Any], None]) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            async for answer in stub.Watch(health_pb2.HealthCheckRequest(), timeout=30):
                act(answer.status)
        except grpc.aio.AioRpcError as error:
            act(error.code())


async def test_a_stop_signal_drains_in_order_and_exits_zero():
    async with _running(drain_notice_s=0.1) as (process, _):
        process.send(signal.SIGTERM)
        assert await process.exit_code() == 0
    order = ["opened", "opened", "started", "signal: stopping", "draining", "drained", "loop ended", "closed", "closed"]
    assert [event for event in process.events() if event in order] == order
    assert [line["resource"] for line in process.lines() if line["event"] == "closed"] == ["channel", "database"]


@pytest.mark.parametrize(("number", "on_the_loop"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
async def test_a_call_in_flight_at_the_signal_finishes(number: signal.Signals, on_the_loop: bool):
    async with _running(on_the_loop=on_the_loop, call_s=1.0, drain_notice_s=0.1) as (process, target):
        async with grpc.aio.insecure_channel(target) as channel:
            call = asyncio.create_task(ToyStub(channel).call("Answer", Note(text="kept")))
            await process.line("call began")
            process.send(number)
            assert [answer.text for answer in await call] == ["kept"]
        assert await process.exit_code() == 0


async def test_a_call_that_outlasts_the_grace_is_ended_and_the_process_exits(on_the_loop: bool):
    async with _running(on_the_loop=on_the_loop, call_s=60, drain_notice_s=0, grace_s=0.3) as (process, target):
        async with grpc.aio.insecure_channel(target) as channel:
            call = asyncio.create_task(ToyStub(channel).call("Answer", Note(), timeout=30))
            await process.line("call began")
            process.send(signal.SIGTERM)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert await process.exit_code() == 0


async def test_health_says_not_serving_while_calls_are_still_taken_and_watches_do_not_hold_the_stop_up(
    on_the_loop: bool,
):
    seen: list[Any] = []
    # The grace is longer than the wait for the exit.
    async with _running(on_the_loop=on_the_loop, drain_notice_s=patience(1.0), grace_s=60) as (process, target):
        watching = asyncio.create_task(_watch(target, seen.append))
        await eventually(lambda: seen[-1:] == [SERVING])
        process.send(signal.SIGTERM)
        await eventually(lambda: NOT_SERVING in seen)
        async with grpc.aio.insecure_channel(target) as channel:
            assert await ToyStub(channel).call("Answer", Note())
        assert await process.exit_code() == 0
        await watching


async def test_a_stream_that_watches_the_stop_ends_without_waiting_for_the_grace(on_the_loop: bool):
    async with _running(on_the_loop=on_the_loop, drain_notice_s=0, grace_s=60) as (process, target):
        async with grpc.aio.insecure_channel(target) as channel:
            call = asyncio.create_task(ToyStub(channel).call("Expand", Note(text="x"), timeout=30))
            await eventually(lambda: "started" in process.events())
            await ToyStub(channel).call("Answer", Note())
            process.send(signal.SIGTERM)
            assert len(await call) == 1
        assert await process.exit_code() == 0


async def test_a_second_signal_forces_the_exit():
    async with _running(call_s=60, drain_notice_s=60) as (process, _):
        process.send(signal.SIGTERM)
        await process.line("draining")
        process.send(signal.SIGINT)
        assert await process.exit_code() == 128 + signal.SIGINT
    assert "second signal: exiting at once" in process.events()


@pytest.mark.long
async def test_a_resource_that_does_not_close_does_not_hold_the_exit_up():
    async with _running(fault="close-hangs", drain_notice_s=0, grace_s=0.1) as (process, _):
        process.send(signal.SIGTERM)
        assert await process.exit_code() == 0
    assert "resources did not close in time" in process.events()


@pytest.mark.parametrize(("fault", "told"), [("loop-raises", "lost the store"), ("loop-returns", "loop 'toy' ended")])
async def test_a_background_loop_that_dies_ends_the_process_with_a_failure(fault, told):
    async with toy_process(fault=fault, drain_notice_s=0) as process:
        assert await process.exit_code() == 1
    line = await process.line("loop died: stopping the service")
    assert told in line["exception"]
    assert len([event for event in process.events() if event == "closed"]) == 2


async def test_an_error_at_start_closes_what_was_opened_and_exits_with_a_failure():
    async with toy_process(fault="start-raises") as process:
        assert await process.exit_code() == 1
    assert "no such table" in (await process.line("service failed"))["exception"]
    assert [line["resource"] for line in process.lines() if line["event"] == "closed"] == ["channel", "database"]


async def test_a_refusal_at_start_is_a_sentence_without_a_stack():
    async with toy_process(fault="start-refuses") as process:
        assert await process.exit_code() == 1
    line = await process.line("cannot start")
    assert line["problem"] == "the database is newer than this program: upgrade it"
    assert "Traceback" not in "".join(process.text)


async def test_a_signal_while_starting_stops_the_start():
    async with toy_process(fault="start-hangs") as process:
        await process.line("hanging")
        process.send(signal.SIGTERM)
        assert await process.exit_code() == 0
    assert "started" not in process.events()


async def test_a_failing_check_keeps_the_service_up_but_not_serving():
    async with _running(fault="unhealthy") as (process, target), grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        overall = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        component = await stub.Check(health_pb2.HealthCheckRequest(service="database"), timeout=10)
        assert (overall.status, component.status) == (NOT_SERVING, NOT_SERVING)
        assert process.process.returncode is None


@pytest.mark.parametrize(("setting", "variable"), [("port", "TOY_PORT"), ("metrics_port", "TOY_METRICS_PORT")])
async def test_a_taken_port_is_told_with_its_setting(setting, variable):
    server = Server()
    await server.start()
    try:
        async with toy_process(**{setting: server.port}) as process:
            assert await process.exit_code() == 1
    finally:
        await server.stop(0)
    problem = (await process.line("cannot start"))["problem"]
    assert problem == (
        f"cannot listen on 127.0.0.1:{server.port} (the port is taken): "
        f"stop what uses the port, or choose another one with {variable}"
    )
    assert "Traceback" not in "".join(process.text)


async def test_wrong_settings_exit_two_and_name_the_variable():
    async with toy_process(prot=1, grace_s="soon") as process:
        assert await process.exit_code() == 2
    text = "".join(process.text)
    assert "TOY_PROT: unknown setting; did you mean TOY_PORT?" in text
    assert "TOY_GRACE_S: input should be a valid number" in text
    assert "Traceback" not in text
