"""Links of the development issuer, sessions, and how they end."""

import urllib.parse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from headrace_servicekit.testing import eventually

from tests.kit.console.link_page import fields_of
from tests.kit.console.service import ConsoleUnderTest, console_under_test

SESSION = "headrace_session"


async def test_a_link_signs_in_once(console: ConsoleUnderTest):
    link = console.link("ada")
    first = await console.follow(link)
    assert (first.status_code, first.headers["location"]) == (303, "/console/")
    assert "ada" in (await console.browser.get("/console/")).text
    again = await console.follow(link)
    assert again.status_code == 401
    assert "LINK_SPENT" in again.text


async def test_opening_a_link_signs_nobody_in_and_leaves_it_good(console: ConsoleUnderTest):
    link = console.link("ada")
    for _ in range(2):
        page = await console.browser.get(link)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert "Sign in as ada" in page.text
        assert SESSION not in console.browser.cookies
    assert (await console.browser.get("/console/")).headers["location"].startswith("/console/sign-in")
    assert (await console.follow(link)).status_code == 303


async def test_another_site_cannot_sign_a_browser_in_as_somebody_else(console: ConsoleUnderTest):
    attackers = fields_of((await console.browser.get(console.link("mallory"))).text)
    console.browser.cookies.clear()
    path = "/console/sign-in/link"
    await console.browser.get(console.link("ada"))  # the victim's own page gives its browser another secret
    for form, headers in (
        (attackers, {}),
        ({**attackers, "form_token": ""}, {}),
        (fields_of((await console.browser.get(console.link("ada"))).text), {"sec-fetch-site": "cross-site"}),
    ):
        answer = await console.browser.post(path, data=form, headers=headers)
        assert answer.status_code == 403, form
        assert "FORM_TOKEN_WRONG" in answer.text
    assert SESSION not in console.browser.cookies


async def test_the_cookie_is_kept_from_scripts_and_other_sites(console: ConsoleUnderTest):
    cookies = (await console.follow(console.link())).headers.get_list("set-cookie")
    (cookie,) = (one for one in cookies if one.startswith(f"{SESSION}="))
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "path=/console", "samesite=lax"}


async def test_with_https_the_cookie_is_secure_and_browsers_stay_there(postgres_url: str, tmp_path: Path):
    async with console_under_test(postgres_url, tmp_path / "identity", url="https://headrace.example.com") as console:
        answer = await console.browser.get(console.link())  # a jar would not send a secure cookie by http
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_a_link_that_expired_or_that_somebody_else_signed_is_refused(console: ConsoleUnderTest, tmp_path: Path):
    before = datetime.now(UTC) - timedelta(minutes=5)
    old = console.issuer.console_link(subject="ada", now=before)
    assert "LINK_EXPIRED" in (await console.browser.get(f"/console/sign-in/link?link={old}")).text
    token = console.issuer.mint(subject="ada", now=datetime.now(UTC))
    forged = jwt.encode({**jwt.decode(old, options={"verify_signature": False})}, "k" * 32, algorithm="HS256")
    for other in (token, forged, "", "a.b.c"):
        refused = await console.browser.get("/console/sign-in/link", params={"link": other})
        assert refused.status_code == 401
        assert "LINK_REFUSED" in refused.text
    assert SESSION not in console.browser.cookies


async def test_a_session_that_an_attacker_planted_is_not_continued(console: ConsoleUnderTest):
    planted = "A" * 43
    console.browser.cookies.set(SESSION, planted, path="/console")
    answer = await console.follow(console.link())
    assert f"{SESSION}=" in answer.headers["set-cookie"]
    assert planted not in answer.headers["set-cookie"]


async def test_signing_in_again_ends_the_session_before(console: ConsoleUnderTest):
    await console.sign_in()
    before = console.browser.cookies[SESSION]
    await console.sign_in("bob")
    console.browser.cookies.jar.clear()
    answer = await console.browser.get("/console/", headers={"cookie": f"{SESSION}={before}"})
    assert answer.headers["location"].startswith("/console/sign-in")


async def test_signing_out_ends_the_session_for_whoever_has_its_cookie(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    cookie = console.browser.cookies[SESSION]
    answer = await console.browser.post("/console/sign-out", data={"form_token": form_token})
    assert answer.headers["location"] == "/console/sign-in"
    kept = await console.browser.get("/console/", headers={"cookie": f"{SESSION}={cookie}"})
    assert kept.headers["location"].startswith("/console/sign-in")


async def test_whoever_is_denied_is_thrown_out_and_does_not_come_back(console: ConsoleUnderTest):
    await console.sign_in("mallory")
    console.issuer.deny("mallory")

    async def out() -> bool:
        return (await console.browser.get("/console/")).status_code == 303

    await eventually(out, within=5)
    assert "CLIENT_DENIED" in (await console.follow(console.link("mallory"))).text
    console.issuer.allow("mallory")
    await eventually(lambda: not console.runtime.denials.is_denied("mallory"), within=5)
    # The session is gone, not asleep.
    assert (await console.browser.get("/console/")).status_code == 303


async def test_every_call_is_made_with_the_persons_own_token(console: ConsoleUnderTest):
    await console.sign_in("ada", scopes=["registry.read"], models=["digits"])
    tokens = {received["authorization"].removeprefix("Bearer ") for _, _, received in console.api.asked}
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
    assert {(one["sub"], *one["scopes"], *one["models"]) for one in claims} == {("ada", "registry.read", "digits")}


async def test_one_address_cannot_go_on_trying(postgres_url: str, tmp_path: Path):
    async with console_under_test(postgres_url, tmp_path / "identity", sign_ins_per_minute=3) as console:
        codes = [(await console.browser.get("/console/sign-in/link?link=x")).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        elsewhere = await console.follow(console.link(), headers={"x-forwarded-for": "10.0.0.1, 10.0.0.9"})
        assert elsewhere.status_code == 303


async def test_a_link_leads_to_no_other_place(console: ConsoleUnderTest):
    for then in ("//evil.example/", "https://evil.example/", "/\\evil.example", "/v1/models"):
        path, _, link = console.link().partition("?link=")
        answer = await console.follow(f"{path}?{urllib.parse.urlencode({'then': then, 'link': link})}")
        assert answer.headers["location"] == "/console/"
