"""Signing in at an OpenID provider: the code with PKCE, and everything that must not get somebody in."""

import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from tests.kit.console.service import ConsoleUnderTest, console_under_test
from tests.kit.identity.openid import OpenIdServer, openid_server
from tests.kit.identity.provider import AUDIENCE, IdentityProvider


@dataclass(frozen=True, slots=True)
class World:
    console: ConsoleUnderTest
    provider: OpenIdServer

    async def to_provider(self, then: str = "/console/models/digits") -> dict[str, str]:
        """Begin a sign-in; return what the provider answers with, by way of the browser."""
        begun = await self.console.browser.get("/console/sign-in/start", params={"then": then})
        assert begun.status_code == 303, begun.text
        async with httpx.AsyncClient(trust_env=False) as elsewhere:
            answer = await elsewhere.get(begun.headers["location"])
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["location"]).query))

    async def come_back(self, answer: dict[str, str]) -> httpx.Response:
        return await self.console.browser.get("/console/sign-in/callback", params=answer)


@asynccontextmanager
async def world_of(postgres_url: str, tmp_path: Path, **settings: Any) -> AsyncIterator[World]:
    async with openid_server() as provider:
        told = {"oidc_issuer": provider.issuer, "audience": AUDIENCE, **settings}
        async with console_under_test(postgres_url, tmp_path / "identity", **told) as console:
            yield World(console, provider)


@pytest_asyncio.fixture
async def world(postgres_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(postgres_url, tmp_path) as made:
        yield made


async def test_a_person_signs_in_and_gets_where_they_wanted_to(world: World):
    done = await world.come_back(await world.to_provider())
    assert (done.status_code, done.headers["location"]) == (303, "/console/models/digits")
    assert "ada" in (await world.console.browser.get("/console/")).text


async def test_an_answer_counts_once_and_only_in_the_browser_that_asked(world: World):
    answer = await world.to_provider()
    async with httpx.AsyncClient(base_url=world.console.url, trust_env=False) as another:
        refused = await another.get("/console/sign-in/callback", params=answer)
        assert refused.status_code == 401
        assert "NOT_BEGUN" in refused.text
    cookies = dict(world.console.browser.cookies)
    assert (await world.come_back(answer)).status_code == 303
    again = await world.console.browser.get(
        "/console/sign-in/callback",
        params=answer,
        headers={"cookie": f"headrace_sign_in={cookies['headrace_sign_in']}"},
    )
    assert again.status_code == 401


async def test_the_answer_to_another_sign_in_is_refused(world: World):
    answer = await world.to_provider()
    refused = await world.come_back({**answer, "state": "another"})
    assert "STATE_MISMATCH" in refused.text
    assert "headrace_session" not in world.console.browser.cookies


async def test_a_code_of_somebody_elses_sign_in_is_worth_nothing(world: World):
    """It was made for another challenge: PKCE."""
    stolen = await world.to_provider()
    own = await world.to_provider()
    refused = await world.come_back({**own, "code": stolen["code"]})
    assert "SIGN_IN_REFUSED" in refused.text


FOR_OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("access_claims", {"aud": "another-service"}, "TOKEN_AUDIENCE_REFUSED"),
    ("access_claims", {"iss": "https://evil.example"}, "TOKEN_INVALID"),
    ("access_claims", {"exp": 1}, "TOKEN_INVALID"),
    ("access_claims", {"models": "digits"}, "TOKEN_INVALID"),
    ("id_claims", {"aud": "another-client"}, "TOKEN_AUDIENCE_REFUSED"),
    ("id_claims", {"nonce": "another"}, "NONCE_MISMATCH"),
    ("id_claims", {"azp": "another-client"}, "TOKEN_INVALID"),
]


async def test_a_token_for_somebody_or_something_else_signs_nobody_in(world: World):
    for which, claims, reason in FOR_OTHERS:
        world.provider.access_claims, world.provider.id_claims = {}, {}
        setattr(world.provider, which, claims)
        refused = await world.come_back(await world.to_provider())
        assert refused.status_code == 401
        assert reason in refused.text
    assert "headrace_session" not in world.console.browser.cookies


async def test_a_token_that_another_key_signed_signs_nobody_in(world: World):
    answer = await world.to_provider()
    world.provider.signing = IdentityProvider()
    refused = await world.come_back(answer)
    assert refused.status_code == 401
    assert "headrace_session" not in world.console.browser.cookies


async def test_a_token_is_renewed_before_it_ends_and_a_refusal_ends_the_session(world: World):
    world.provider.lifetime_s = 30
    assert (await world.come_back(await world.to_provider())).status_code == 303
    assert (await world.console.browser.get("/console/")).status_code == 200
    assert world.provider.refreshes == 1
    world.provider.refuses_refresh = True
    assert (await world.console.browser.get("/console/")).headers["location"].startswith("/console/sign-in")
    assert (await world.console.browser.get("/console/")).status_code == 303


async def test_behind_tls_the_provider_answers_to_https_and_the_cookie_of_a_sign_in_is_secure(
    postgres_url: str, tmp_path: Path
):
    async with world_of(postgres_url, tmp_path, url="https://headrace.example.com") as encrypted:
        started = await encrypted.console.browser.get("/console/sign-in/start")
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(started.headers["location"]).query))
        assert asked["redirect_uri"] == "https://headrace.example.com/console/sign-in/callback"
        assert {"secure", "httponly"} <= {part.strip().lower() for part in started.headers["set-cookie"].split(";")}


async def test_signing_out_offers_to_sign_out_at_the_provider(world: World):
    await world.come_back(await world.to_provider())
    form_token = await world.console.form_token()
    answer = await world.console.browser.post("/console/sign-out", data={"form_token": form_token})
    assert f"{world.provider.issuer}/end?" in answer.text


async def test_a_provider_that_is_away_is_told_of(postgres_url: str, tmp_path: Path):
    folder = tmp_path / "identity"
    async with console_under_test(postgres_url, folder, oidc_issuer="http://127.0.0.1:9") as console:
        answer = await console.browser.get("/console/sign-in/start")
        assert answer.status_code == 503
        assert "PROVIDER_UNAVAILABLE" in answer.text


async def test_a_secret_that_cannot_be_read_is_told_of_and_is_no_defect(postgres_url: str, tmp_path: Path):
    settings = {"audience": AUDIENCE, "oidc_client_secret_file": tmp_path / "missing"}
    async with (
        openid_server() as provider,
        console_under_test(postgres_url, tmp_path / "identity", oidc_issuer=provider.issuer, **settings) as console,
    ):
        world = World(console, provider)
        answer = await world.come_back(await world.to_provider())
        assert answer.status_code == 503
        assert "CONSOLE_OIDC_CLIENT_SECRET_FILE" in answer.text
