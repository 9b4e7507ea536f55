"""What strangers, other sites and hostile texts do to the console: nothing."""

import html
import html.parser
import itertools
import re
import shlex
from collections.abc import AsyncIterator
from typing import Any

import grpc
from headrace_console.app import pages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from tests.kit.clients.methods import path_of
from tests.kit.console.service import ARGUMENTS, PAGES, ConsoleUnderTest, address

# What breaks out of a text, of an attribute, of an address, of a script.
BREAKING = [
    "<zz9 onzz9=1>",
    '"><zz9>',
    "'><zz9>",
    "</title><zz9>",
    "</textarea><zz9>",
    "<!--<zz9>-->",
    '" onzz9="1',
    "javascript:zz9",
    "{{7*7}}<zz9>",
    "&lt;zz9&gt;<zz9>",
    "\u2028<zz9>",
]
WRITTEN = sorted(route.path for route in pages() if isinstance(route, Route) and "POST" in (route.methods or ()))


class Markup(html.parser.HTMLParser):
    """Elements and attributes as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(text: str) -> None:
    for tag, attributes in Markup(text).found:
        assert tag != "zz9", text[:2000]
        assert not any(name.startswith("on") or name in ("style", "srcdoc") for name in attributes), (tag, attributes)
        for name in ("href", "src", "action", "hx-get", "hx-post", "sse-connect"):
            target = attributes.get(name) or ""
            assert not target or target.startswith(("/console", "#", "?")), (tag, name, target)


async def test_no_text_of_anybody_becomes_markup(console: ConsoleUnderTest):
    await console.sign_in()
    for path, text in [*itertools.product(PAGES, ["".join(BREAKING)]), *itertools.product(PAGES[:2], BREAKING)]:
        console.api.text = text
        answer = await console.browser.get(address(path), params={"q": text, "model": text, "done": text})
        assert answer.status_code in (200, 303, 400, 404), answer.text
        assert "INTERNAL" not in answer.text
        assert_harmless(answer.text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30).map(lambda text: text + "<zz9>"), path=st.sampled_from(PAGES))
async def test_whatever_a_text_is_no_element_comes_of_it(console: ConsoleUnderTest, text: str, path: str):
    if "headrace_session" not in console.browser.cookies:
        await console.sign_in()
    console.api.text = text.encode("utf-8", "replace").decode()
    assert_harmless((await console.browser.get(address(path))).text)


async def test_a_link_that_somebody_made_up_puts_no_command_of_theirs_on_a_page(console: ConsoleUnderTest):
    await console.sign_in()
    made_up = "x;id"
    for path, nothing in itertools.product(PAGES, (False, True)):
        console.api.nothing = nothing
        asked = "/console" + path.format(**dict.fromkeys(ARGUMENTS, made_up))
        answer = await console.browser.get(asked, params=dict.fromkeys(("id", "model", "version"), made_up))
        for shown in re.findall("<code>(headrace .*?)</code>", answer.text):
            words = shlex.shlex(html.unescape(shown), posix=True, punctuation_chars=True)
            assert ";" not in list(words), (path, shown)


async def test_a_refusal_with_markup_in_it_is_shown_as_text(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    for name in ("PromoteModelVersion", "RollbackModel"):
        console.api.refusal[path_of(name)] = (grpc.StatusCode.FAILED_PRECONDITION, "<zz9>no</zz9>")
    for action in ("promote", "roll-back"):
        form = {"form_token": form_token, "reason": '"><zz9>', "version": '"><zz9>', "stage": "production"}
        answer = await console.browser.post(f"/console/models/digits/{action}", data=form)
        assert answer.status_code == 409
        assert "&lt;zz9&gt;no" in answer.text
        assert_harmless(answer.text)


async def test_nothing_is_written_that_another_site_sent(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    before = len(console.api.asked)
    good: dict[str, Any] = {"data": {"form_token": form_token, "reason": "r"}}
    attempts: list[dict[str, Any]] = [
        {"data": {"reason": "r"}},
        {"data": {"form_token": "wrong"}},
        {**good, "headers": {"sec-fetch-site": "cross-site"}},
        {**good, "headers": {"sec-fetch-site": "same-site"}},
    ]
    for path, attempt in itertools.product(WRITTEN, attempts):
        answer = await console.browser.post(address(path), **attempt)
        assert answer.status_code == 403
        assert "FORM_TOKEN_WRONG" in answer.text
    for path in WRITTEN:
        as_json = await console.browser.post(address(path), json={"form_token": form_token})
        assert as_json.status_code == 415
    assert len(console.api.asked) == before


async def test_a_form_that_says_what_cannot_be_does_nothing_else_instead(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    writing = {path_of(name) for name in ("PromoteModelVersion", "SilenceAlerts")}
    before = len(console.api.asked)
    wrong: list[tuple[str, dict[str, str], str]] = [
        ("models/digits/promote", {"version": "v2", "reason": "r"}, "stage"),
        ("models/digits/promote", {"version": "v2", "reason": "r", "stage": "prodution"}, "stage"),
        ("alerts/silence", {"model": "digits", "comment": "c", "hours": "2,5"}, "hours"),
        ("alerts/silence", {"model": "digits", "comment": "c", "hours": "nan"}, "hours"),
        ("alerts/silence", {"model": "digits", "comment": "c", "hours": "100000"}, "hours"),
        ("alerts/silence", {"model": " ", "comment": "c", "hours": "2"}, "model"),
        ("models/digits/approvals/17", {"action": "agree"}, "action"),
        ("models/digits/approvals", {"version": "v2", "reason": "r", "stage": "prodution"}, "stage"),
        ("jobs/digits/1/publication", {"action": "unpublish", "reason": "r"}, "action"),
        ("rollouts/digits/1", {"action": "", "reason": "r"}, "action"),
        ("jobs/digits/1", {"action": "explode"}, "action"),
    ]
    for path, form, field in wrong:
        answer = await console.browser.post(f"/console/{path}", data={"form_token": form_token, **form})
        assert answer.status_code == 400, (path, form)
        assert f"<code>{field}</code>" in answer.text
    assert not writing & {path for path, _, _ in console.api.asked[before:]}


async def test_nobody_sees_or_does_anything_without_a_session(console: ConsoleUnderTest):
    for path in PAGES:
        answer = await console.browser.get(address(path))
        assert answer.headers["location"].startswith("/console/sign-in?then=%2Fconsole")
    for path in WRITTEN:
        # What signs in needs no session; without its form it is refused as well.
        expected = 415 if "/sign-in/" in path else 401
        assert (await console.browser.post(address(path))).status_code == expected
    assert console.api.asked == []


async def test_every_answer_forbids_frames_scripts_of_others_and_copies(console: ConsoleUnderTest):
    await console.sign_in()
    for path in ("/console/", "/console/sign-in", "/console/nothing", "/console/static/console.css", "/console"):
        headers = (await console.browser.get(path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-store" if "static" not in path else headers["cache-control"])


async def test_a_form_of_ten_megabytes_is_refused_before_it_is_read(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    body = f"form_token={form_token}&reason={'a' * 10_000_000}"
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = await console.browser.post("/console/models/digits/promote", content=body, headers=kind)
    assert answer.status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"a" * 1000

    unannounced = await console.browser.post("/console/models/digits/promote", content=chunks(), headers=kind)
    assert unannounced.status_code == 413
    many = "&".join(f"a{number}=1" for number in range(1000))
    assert (await console.browser.post("/console/models/digits/promote", content=many, headers=kind)).status_code == 400


OUTSIDE = [
    "/console/static/../settings.py",
    "/console/static/..%2fsettings.py",
    "/console/static/%2e%2e/settings.py",
    "/console/static//etc/passwd",
    "/console/models/../../readyz",
    "/console/models/a%2fb",
    "/console/%00",
]


async def test_no_path_leads_out_of_the_pages(console: ConsoleUnderTest):
    await console.sign_in()
    for path in OUTSIDE:
        answer = await console.browser.get(path)
        assert answer.status_code in (200, 307, 404), path
        assert "ConsoleSettings" not in answer.text
        assert "root:" not in answer.text


async def test_a_model_that_the_token_may_not_see_does_not_exist(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("GetModel")] = (grpc.StatusCode.NOT_FOUND, "model 'secret' not found")
    answer = await console.browser.get("/console/models/secret")
    assert answer.status_code == 404


async def test_a_token_that_the_api_refuses_ends_the_session(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("GetModel")] = (grpc.StatusCode.UNAUTHENTICATED, "the token is for another audience")
    assert (await console.browser.get("/console/models/digits")).status_code == 401
    assert (await console.browser.get("/console/models/digits")).status_code == 303
