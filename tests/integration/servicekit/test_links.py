"""A channel whose replicas come and go while it is called: nothing fails, and who comes is called."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from headrace_servicekit.client import Channel, channel
from headrace_servicekit.testing import eventually, free_port

from tests.kit.servicekit.toy import Note, ToyStub, handlers
from tests.kit.servicekit.toy_server import toy


def counting(calls: list[str], name: str) -> dict[str, Any]:
    """Note who is called; a stream goes on until its caller ends it."""

    async def answer(request: Any, _context: Any) -> Any:
        calls.append(name)
        return request

    async def converse(requests: Any, _context: Any) -> Any:
        async for request in requests:
            calls.append(name)
            yield request

    return handlers(Answer=answer, Converse=converse)


def listed(file: Path, *addresses: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(f"other=127.0.0.1:1;toy={','.join(addresses)}\n")
    partial.replace(file)


def opened_to(file: Path) -> Channel:
    """Open a channel to what a file lists. Its connections are its own: channels of a process share them otherwise, and
    with them the back-off of a port that another test had before."""
    return channel(f"file:{file}#toy", options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "endpoints"


async def test_replicas_that_come_are_called_and_those_that_go_are_not_and_no_call_fails(file: Path):
    calls: list[str] = []
    async with toy(counting(calls, "a")) as first, toy(counting(calls, "b")) as second:
        listed(file, first.server.address)
        async with opened_to(file) as opened:
            stub = ToyStub(opened)

            async def called_are(*names: str) -> bool:
                calls.clear()
                await asyncio.gather(*(stub.call("Answer", Note()) for _ in range(10)))
                return set(calls) == set(names)

            assert await called_are("a")
            listed(file, first.server.address, second.server.address)
            await eventually(lambda: called_are("a", "b"), within=10)
            listed(file, second.server.address)
            await eventually(lambda: called_are("b"), within=10)
            listed(file)
            assert await called_are("b"), "those that are known are called while the file names none"


async def test_a_stream_goes_on_where_it_began_while_later_calls_go_elsewhere(file: Path):
    calls: list[str] = []
    async with toy(counting(calls, "a")) as first, toy(counting(calls, "b")) as second:
        listed(file, first.server.address)
        async with opened_to(file) as opened:
            stub = ToyStub(opened)
            stream = stub.Converse()
            await stream.write(Note(text="1"))
            assert (await stream.read()).text == "1"
            listed(file, second.server.address)

            async def moved() -> bool:
                await stub.call("Answer", Note())
                return calls[-1] == "b"

            await eventually(moved, within=10)
            await stream.write(Note(text="2"))
            assert (await stream.read()).text == "2"
            assert calls[-1] == "a"
            await stream.done_writing()


async def test_replicas_that_do_not_answer_yet_take_nobody_away(file: Path):
    calls: list[str] = []
    async with toy(counting(calls, "a")) as first:
        listed(file, first.server.address)
        async with opened_to(file) as opened:
            stub = ToyStub(opened)
            await stub.call("Answer", Note())
            listed(file, f"127.0.0.1:{free_port()}")
            for _ in range(30):
                await stub.call("Answer", Note())
                await asyncio.sleep(0.05)
    assert len(calls) == 31


async def test_a_channel_closes_while_it_looks_for_replicas(file: Path):
    async with toy(counting([], "a")) as first:
        listed(file, first.server.address)
        async with opened_to(file) as opened:
            await ToyStub(opened).call("Answer", Note())
            listed(file, f"127.0.0.1:{free_port()}")
            await eventually(lambda: _looks(opened), within=10)


async def _looks(opened: Any) -> bool:
    await ToyStub(opened).call("Answer", Note())
    return any("replicas of" in task.get_name() for task in asyncio.all_tasks())


def test_a_file_that_is_not_there_is_said_when_the_channel_is_opened(file: Path):
    with pytest.raises(OSError, match="endpoints"):
        opened_to(file)
