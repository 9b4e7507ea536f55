"""`python -m headrace_console` over a real PostgreSQL."""

import os

import httpx
import pytest
from headrace_servicekit.testing import eventually, free_port

from tests.kit.http_process import http_process


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
        assert "predictions go on" in refused.text
        assert (await client.get("/console/sign-in")).status_code == 200


async def _is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200
