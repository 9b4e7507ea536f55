"""More connections than there may be open files: what is too much is closed at once, the others are served."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import grpc.aio
import pytest
from headrace_servicekit.open_files import RESERVED, most_connections
from headrace_servicekit.testing import eventually

from tests.kit.servicekit.toy import Note, ToyStub, echoing
from tests.kit.servicekit.toy_server import toy
from tests.kit.wire.sockets import connected, is_closed

pytestmark = pytest.mark.usefixtures("each_server")
ROOM = 5


@pytest.fixture
def few_files() -> Iterator[None]:
    """Room for a few connections in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (RESERVED + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_connections_above_the_bound_are_closed_at_once_and_the_others_served(few_files: None):
    assert most_connections() == ROOM
    async with toy(echoing()) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        stub = ToyStub(channel)
        assert await stub.call("Answer", Note(text="x"))
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(connected(running.server.address)) for _ in range(ROOM * 3)]
            await eventually(lambda: sum(map(is_closed, held)) >= ROOM * 2, within=2)
            assert await stub.call("Answer", Note(text="y"))
