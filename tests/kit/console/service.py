"""A console in this process, over a real database and an API that a test holds in its hand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
from headrace_client.issuer import DevelopmentIssuer
from headrace_console import service
from headrace_console.app import pages
from headrace_console.settings import ConsoleSettings
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import free_port, running
from headrace_stack import identity
from starlette.routing import Route

from tests.kit.console.link_page import follow
from tests.kit.hostile.full_answers import HostileApi

# What the front door adds to whatever comes from a browser.
FORWARDED = {"x-forwarded-for": "10.0.0.1"}
_FORM_TOKEN = re.compile(r'name="form_token" value="([\w-]+)"')
# Every page that is read, as its path is routed.
PAGES = sorted(
    route.path
    for route in pages()
    if isinstance(route, Route)
    and "GET" in (route.methods or ())
    and not route.path.startswith("/sign-in")
    and "/live/" not in route.path
)
ARGUMENTS = {
    "model": "digits",
    "version": "v1",
    "request": "17",
    "rollout": "r1",
    "pool": "default",
    "experiment": "e1",
    "job": "j1",
}


def address(path: str) -> str:
    """Return the address of a page, of things of these names."""
    return "/console" + path.format(**ARGUMENTS)


@dataclass(frozen=True, slots=True)
class ConsoleUnderTest:
    """browser: follows nothing, keeps cookies. issuer: whose links sign in."""

    browser: httpx.AsyncClient
    api: HostileApi
    issuer: DevelopmentIssuer
    runtime: Runtime[ConsoleSettings]
    url: str

    def link(self, subject: str = "ada", **claims: Any) -> str:
        """Return the path of a one-time link."""
        return (
            f"/console/sign-in/link?link={self.issuer.console_link(subject=subject, now=datetime.now(UTC), **claims)}"
        )

    async def follow(self, link: str, **how: Any) -> httpx.Response:
        """Open a one-time link and press its button; return what that answers."""
        return await follow(self.browser, link, **how)

    async def sign_in(self, subject: str = "ada", **claims: Any) -> str:
        """Sign the browser in; return the token of its forms."""
        answer = await self.follow(self.link(subject, **claims))
        assert answer.headers["location"] == "/console/", answer.text
        return await self.form_token()

    async def form_token(self) -> str:
        """Return what forms of the browser's session carry."""
        found = _FORM_TOKEN.search((await self.browser.get("/console/")).text)
        assert found is not None
        return found[1]


@asynccontextmanager
async def console_under_test(postgres_url: str, folder: Path, **settings: Any) -> AsyncIterator[ConsoleUnderTest]:
    """Run a console until the block ends. folder: of its issuer and its deny list. settings: of ConsoleSettings."""
    _make_issuer(folder)
    api, port = HostileApi(), free_port()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((api,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    told = {
        "database_url": postgres_url,
        "front_door_target": address,
        "port": port,
        "url": f"http://127.0.0.1:{port}",
        "development_issuer": folder,
        "deny_file": folder / identity.DENY,
        "sign_ins_per_minute": 1000,
        "poll_s": 0.2,
        "drain_notice_s": 0.0,
        "grace_s": 2.0,
    }
    made = ConsoleSettings(**{**told, **settings})
    try:
        async with (
            running("console", made, service.start) as runtime,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=FORWARDED, trust_env=False, timeout=30
            ) as browser,
        ):
            yield ConsoleUnderTest(browser, api, DevelopmentIssuer(folder), runtime, f"http://127.0.0.1:{port}")
    finally:
        await server.stop(None)


def _make_issuer(folder: Path) -> None:
    folder.mkdir()
    identity.create(folder)
