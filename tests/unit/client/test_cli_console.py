"""`headrace console` makes a link that signs in once, and that no API takes for a token."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from click.testing import CliRunner
from headrace_client.cli import main
from headrace_client.issuer import AUDIENCE, LINK_AUDIENCE
from headrace_stack import identity


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    identity.create(tmp_path)
    monkeypatch.setenv("HEADRACE_IDENTITY_DIR", str(tmp_path))
    monkeypatch.setenv("HEADRACE_ADDRESS", "127.0.0.1:9999")
    return tmp_path


@pytest.mark.usefixtures("issuer")
def test_where_there_is_no_browser_the_link_is_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    done = CliRunner().invoke(main, ["console", "models/digits", "--scope", "registry.read"])
    assert done.exit_code == 0, done.output
    url = urlsplit(done.output.strip())
    assert (url.scheme, url.netloc, url.path) == ("http", "127.0.0.1:9999", "/console/sign-in/link")
    asked = parse_qs(url.query)
    assert asked["then"] == ["/console/models/digits"]
    link = jwt.decode(asked["link"][0], options={"verify_signature": False})
    assert link["aud"] == LINK_AUDIENCE != AUDIENCE
    assert link["exp"] - link["iat"] == 60
    token = jwt.decode(link["token"], options={"verify_signature": False})
    assert (token["aud"], token["sub"], token["scopes"]) == (AUDIENCE, "developer", ["registry.read"])


@pytest.mark.usefixtures("issuer")
def test_a_scope_that_nobody_asks_for_is_refused_by_name():
    done = CliRunner().invoke(main, ["console", "--no-browser", "--scope", "everything"])
    assert done.exit_code == 2
    assert "everything" in done.output


@pytest.mark.usefixtures("issuer")
def test_the_link_is_of_the_address_that_browsers_know(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADRACE_CONSOLE_URL", "https://headrace.example.com")
    done = CliRunner().invoke(main, ["console", "--no-browser"])
    assert done.output.startswith("https://headrace.example.com:443/console/sign-in/link?link=")
    done = CliRunner().invoke(main, ["console", "--no-browser", "--url", "http://127.0.0.1:18080"])
    assert done.output.startswith("http://127.0.0.1:18080/console/sign-in/link?link=")


@pytest.mark.usefixtures("issuer")
def test_scripts_get_one_document():
    done = CliRunner().invoke(main, ["console", "--no-browser", "--json"])
    assert json.loads(done.output)["opened"] is False
