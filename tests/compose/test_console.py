"""The console of an installation in containers: signed in by a link, at one's own provider, and away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.kit.console.link_page import fields_of
from tests.kit.deployment.containers import Installation

READY_S = 120.0


@pytest.fixture
def browser(installation: Installation) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{installation.port}", timeout=30, trust_env=False) as browser:
        yield browser


def sign_in(installation: Installation, browser: httpx.Client, page: str = "") -> httpx.Response:
    """Sign in as somebody beside the installation does, and return the page."""
    command = ("run", "--rm", "--no-TTY", "headrace", "console", "--no-browser", *filter(None, [page]))
    link = installation.compose(*command).strip().splitlines()[-1]
    assert link.startswith(f"http://127.0.0.1:{installation.port}/console/sign-in/link?"), link
    fields = fields_of(browser.get(link).text)
    return browser.post(link.partition("?")[0], data=fields, follow_redirects=True)


def test_a_person_signs_in_by_a_link_and_sees_the_installation(installation: Installation, browser: httpx.Client):
    assert browser.get("/console/").headers["location"].startswith("/console/sign-in?")
    home = sign_in(installation, browser)
    assert (home.status_code, home.url.path) == (200, "/console/")
    assert "default-src 'self'" in home.headers["content-security-policy"]
    assert "Sign out" in home.text
    for page in ("pools", "alerts", "jobs", "rollouts", "experiments", "audit", "predictions"):
        shown = browser.get(f"/console/{page}")
        assert shown.status_code == 200, page
    # Batchers report what they hold, and every other service answers.
    assert "does not answer" not in home.text
    assert "/console/pools/default" in home.text


def test_its_image_runs_as_nobody_and_has_its_own_pages(installation: Installation):
    told = installation.containers()["console-1"]["Config"]
    assert told["User"] == "10001:10001"
    found = installation.run("console-1", "python", "-c", "import headrace_console as c; print(c.__path__[0])").strip()
    listed = installation.run("console-1", "ls", f"{found}/static", f"{found}/templates").split()
    assert {"console.css", "htmx.min.js", "VENDORED.md", "home.html", "base.html"} <= set(listed)


def test_without_it_predictions_the_api_and_the_command_line_go_on(installation: Installation, browser: httpx.Client):
    sign_in(installation, browser)
    installation.stop("console-1")
    try:
        assert browser.get("/console/").status_code in (502, 503, 504)
        assert browser.get("/healthz").status_code == 200
        listed = installation.compose("run", "--rm", "--no-TTY", "headrace", "models", "list", "--json")
        assert isinstance(json.loads(listed), dict | list)
    finally:
        installation.start("console-1")
    browser.get("/healthz")
    installation.compose("up", "--wait", "--no-recreate", "console")
    assert browser.get("/console/").status_code == 200, "the session is in the database, and goes on"


def test_people_are_sent_to_the_provider_that_is_named(installation: Installation):
    """Nobody answers there: the sign-in page still names it, and links of the development issuer are worth nothing."""
    variables = {"CONSOLE_OIDC_ISSUER": "https://login.example.invalid/realms/ml"}
    named = Installation(installation.project, installation.port, installation.home, variables=variables)
    named.compose("up", "--wait", "--no-deps", "console")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{installation.port}", timeout=30, trust_env=False) as browser:
            assert sign_in(named, browser).url.path == "/console/sign-in"
            asked = parse_qs(urlsplit(browser.get("/console/models/x").headers["location"]).query)
            assert asked["then"] == ["/console/models/x"]
            away = browser.get("/console/sign-in/start", params={"then": "/console/"})
            assert away.status_code == 503, away.text
            assert "login.example.invalid" not in away.headers.get("location", "")
    finally:
        installation.compose("up", "--wait", "--no-deps", "console")
