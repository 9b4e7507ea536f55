"""`python -m headrace_console` over a real PostgreSQL."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import httpx
import pytest
from headrace_servicekit.testing import eventually, free_port

from tests.kit.console.service import console_under_test
from tests.kit.hostile.full_answers import HostileApi
from tests.kit.stack.http_process import http_process


def environment(url: str, port: int) -> dict[str, str]:
    # Nothing listens where the front door should be.
    told = {"DATABASE_URL": url, "PORT": str(port), "METRICS_PORT": "0", "DRAIN_NOTICE_S": "0.1"}
    told["FRONT_DOOR_TARGET"] = f"127.0.0.1:{free_port()}"
    return {"PATH": os.environ["PATH"], **{f"CONSOLE_{name}": value for name, value in told.items()}}


async def test_it_migrates_its_database_says_how_to_sign_in_and_stops_when_it_is_told_to(postgres_url: str):
    port = free_port()
    async with http_process("headrace_console", environment(postgres_url, port), port) as (process, client):
        await eventually(lambda: _is_ready(client), within=20)
        page = await client.get("/console/sign-in")
        assert page.status_code == 200
        assert "CONSOLE_OIDC_ISSUER" in page.text
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.faults
async def test_without_its_database_predictions_go_on_and_its_pages_are_unavailable():
    port = free_port()
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/console"
    async with http_process("headrace_console", environment(url, port), port) as (_, client):
        assert not await _is_ready(client)
        cookie = {"cookie": f"headrace_session={'a' * 43}"}
        refused = await client.get("/console/", headers=cookie)
        assert refused.status_code == 503
        assert "predictions are not affected" in refused.text
        assert (await client.get("/console/sign-in")).status_code == 200


async def test_a_connection_to_the_front_door_that_ends_at_once_is_missed_on_no_page(postgres_url: str, tmp_path: Path):
    """Seen in containers: the first page after a start said that the registry does not answer."""
    front_door = HostileApi()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((front_door,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        dropping(port, 1) as address,
        console_under_test(postgres_url, tmp_path / "identity", front_door_target=address) as console,
    ):
        await console.follow(console.link())
        page = await console.browser.get("/console/")
        assert page.status_code == 200
        assert "does not answer" not in page.text
        assert 'href="/console/models/plain"' in page.text
    await server.stop(None)


@asynccontextmanager
async def dropping(port: int, count: int) -> AsyncIterator[str]:
    """Pass connections on to a port, but the first ones; yield where it listens."""
    dropped, passing = 0, set[asyncio.Task[None]]()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dropped
        dropped += 1
        if dropped <= count:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for source, target in ((reader, back), (there, writer)):
            passing.add(asyncio.create_task(copy(source, target)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200
