"""The console in a real browser, over the whole stack: what every page has, and what none does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Literal

import httpx
import numpy as np
import pytest
from headrace_client import Client
from headrace_console.charts import Line, lines
from headrace_servicekit.testing import eventually

from tests.kit.console.axe import axe, serious
from tests.kit.console.browser import link, sign_in, two_versions, watched_page
from tests.kit.console.chromium import Watched, chromium
from tests.kit.console.link_page import fields_of
from tests.kit.stack.running import RunningStack

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="NOT CHECKED: no Chromium here; apt-get install chromium"),
    pytest.mark.timeout(300),
]

MODEL = "console-demo"
# What has the focus, and the line around it.
FOCUSED = """() => {
  const at = document.activeElement;
  return {
    what: at.tagName === "BODY" ? "" : (at.getAttribute("aria-label") || at.textContent || at.name || "").trim(),
    outline: at.tagName === "BODY" ? "body" : getComputedStyle(at).outlineStyle,
  };
}"""
PAGES = [
    "",
    f"models/{MODEL}",
    f"models/{MODEL}/versions/v1",
    f"models/{MODEL}/comparison",
    f"models/{MODEL}/route",
    f"models/{MODEL}/rollouts",
    f"models/{MODEL}/shadow",
    f"models/{MODEL}/experiments",
    f"models/{MODEL}/data",
    f"models/{MODEL}/report",
    f"models/{MODEL}/audit",
    "rollouts",
    "experiments",
    "predictions",
    "pools",
    "pools/default",
    "pools/default/replay",
    "alerts",
    "jobs",
    "usage",
    f"usage?model={MODEL}",
    "audit",
    f"search?q={MODEL}",
]


@pytest.fixture(scope="module")
def model(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return two_versions(stack, MODEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def watched(stack: RunningStack, model: Client) -> Iterator[Watched]:
    with watched_page(stack) as seen:
        yield seen


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_page_has_a_title_and_asks_nobody_else_and_axe_finds_nothing_serious(
    stack: RunningStack, watched: Watched, scheme: Literal["light", "dark"]
):
    page, script = watched.page, axe()
    page.emulate_media(color_scheme=scheme)
    found = []
    for path in PAGES:
        answer = page.goto(f"{stack.url}/console/{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert page.title().endswith(" · Headrace")
        assert page.locator("h1").count() == 1, path
        found += [(path, *one) for one in serious(page, script)]
    page.emulate_media(color_scheme="light")
    assert watched.errors == []
    assert found == []


def test_the_keyboard_reaches_everything_and_shows_where_it_is(stack: RunningStack, watched: Watched):
    page = watched.page
    for path in ("", f"models/{MODEL}", f"models/{MODEL}/route"):
        page.goto(f"{stack.url}/console/{path}")
        reached: list[str] = []
        for _ in range(page.locator("a, button, input:not([type=hidden]), select, textarea, [tabindex='0']").count()):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUSED)
            assert at["outline"] != "none", (path, at)
            reached.append(at["what"])
        assert reached[0] == "Skip to the page"
        assert {"Headrace", "Home", "Sign out"} <= set(reached), path
        assert len(reached) > 15
    page.goto(f"{stack.url}/console/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_a_pool_is_followed_and_slash_leads_to_the_search_box(stack: RunningStack, watched: Watched):
    page = watched.page
    with page.expect_response(lambda answer: "/console/live/pools/" in answer.url) as live:
        page.goto(f"{stack.url}/console/pools/default")
    assert live.value.headers["content-type"].startswith("text/event-stream")
    page.locator("#batchers").wait_for()
    page.keyboard.press("/")
    page.keyboard.type(MODEL)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=MODEL, exact=True).first.wait_for()
    assert watched.errors == []


@pytest.mark.long
def test_pages_fit_a_telephone_and_are_read_without_scripts(stack: RunningStack, watched: Watched):
    running = watched.page.context.browser
    assert running is not None
    context = running.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, link(stack))
    for path in PAGES:
        page.goto(f"{stack.url}/console/{path}")
        assert page.locator("h1").first.is_visible()
        box = page.locator("main").bounding_box()
        assert box is not None
        assert box["width"] <= 360, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


@pytest.mark.long
def test_the_header_is_one_line_whoever_is_signed_in_and_pages_fit_a_small_window(
    stack: RunningStack, watched: Watched
):
    running = watched.page.context.browser
    assert running is not None
    for subject in ("ada", "somebody.with.a.long.name@machine-learning.example.com"):
        context = running.new_context(viewport={"width": 960, "height": 700})
        page = context.new_page()
        sign_in(page, link(stack, subject=subject))
        for path in ("", f"models/{MODEL}", "predictions", "pools/default", "audit"):
            page.goto(f"{stack.url}/console/{path}")
            tops = page.evaluate("[...document.querySelectorAll('header > *')].map((at) => at.getBoundingClientRect())")
            middles = [round(box["top"] + box["height"] / 2) for box in tops]
            assert max(middles) - min(middles) <= 4, (subject, path, middles)
            assert page.evaluate("document.documentElement.scrollWidth") <= 960, path
        context.close()


def test_an_answer_is_explained_as_a_waterfall(stack: RunningStack, watched: Watched, model: Client):
    answer = model.predict(MODEL, {"features": np.zeros((1, 4), np.float32)}, user_id="ada", explain=True)
    page = watched.page
    page.goto(f"{stack.url}/console/predictions?id={answer.prediction_id}")
    assert page.locator("svg.chart text", has_text="route").count() == 1
    assert "online" in page.locator("section", has=page.locator("#explained")).inner_text()
    assert watched.errors == []


def test_the_on_call_sees_when_it_began_and_what_happened_then(stack: RunningStack, watched: Watched, model: Client):
    model.predict(MODEL, {"features": np.zeros((1, 4), np.float32)}, user_id="ada")
    page = watched.page

    cookies = {one.get("name", ""): one.get("value", "") for one in page.context.cookies()}

    def drawn() -> bool:
        return all(
            "Requests a minute over time" in httpx.get(url, cookies=cookies, trust_env=False, timeout=30).text
            for url in (f"{stack.url}/console/?hours=1", f"{stack.url}/console/models/{MODEL}?hours=1")
        )

    # A minute counts once it is twenty seconds old. Playwright has the loop of this thread.
    with ThreadPoolExecutor() as beside:
        beside.submit(asyncio.run, eventually(drawn, within=60, every=1)).result()
    page.goto(f"{stack.url}/console/models/{MODEL}?hours=1")
    assert page.locator("svg[aria-label^='Errors'] .mark").count() > 0
    events = page.locator("details", has=page.locator(".events"))
    if events.get_attribute("open") is None:
        events.locator("summary").click()
    assert "production" in events.inner_text()
    page.get_by_role("link", name="side by side").click()
    assert page.locator("tr.differs").count() > 0
    assert watched.errors == []


def test_at_the_front_door_it_needs_no_token_and_takes_no_large_body(stack: RunningStack):
    with httpx.Client(base_url=stack.url, trust_env=False) as client:
        assert client.get("/console").headers["location"] == "/console/"
        assert client.get("/console/").status_code == 303
        assert client.get("/consoles").status_code == 401
        large = client.post("/console/sign-out", content=b"a" * 200_000)
        assert large.status_code == 413
        for path in ("/console/..%2fv1/models", "/console/%2e%2e/v1/models"):
            assert client.get(path).status_code in (400, 401, 404)
        forged = client.get("/console/", headers={"x-headrace-client": "admin", "authorization": "Bearer x"})
        assert forged.headers["location"].startswith("/console/sign-in")


def test_times_are_in_the_readers_zone_and_utc_is_on_hover(stack: RunningStack, watched: Watched):
    running = watched.page.context.browser
    assert running is not None
    context = running.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    sign_in(page, link(stack, f"/console/models/{MODEL}/audit"))
    shown = page.locator("td time").first
    utc = datetime.fromisoformat((shown.get_attribute("title") or "").replace(" UTC", "+00:00"))
    assert shown.inner_text() == (utc + timedelta(hours=9)).strftime("%Y-%m-%d %H:%M")
    # And on the axes of charts, also of those that arrive later.
    drawn = lines([Line("a", [1.0])], [datetime(2026, 11, 29, 20, tzinfo=UTC)], label="a chart")
    page.evaluate(
        """(drawn) => {
          const main = document.querySelector("main");
          main.innerHTML = drawn;
          main.dispatchEvent(new Event("htmx:afterSwap", { bubbles: true }));
        }""",
        str(drawn),
    )
    axis = page.locator("svg text[data-time]")
    assert axis.evaluate("(at) => [at.firstChild.data, at.querySelector('title').textContent]") == [
        "05:00:00",
        "2026-11-29 20:00:00 UTC",
    ]
    context.close()


def test_models_that_a_token_does_not_name_do_not_exist(stack: RunningStack, model: Client):
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as stranger:
        address = link(stack, subject="console-stranger", models=["nobodys-*"])
        signed_in = stranger.post(address.partition("?")[0], data=fields_of(stranger.get(address).text))
        assert signed_in.status_code == 303
        for page in ("", "/versions/v1", "/route", "/rollouts", "/data", "/audit"):
            assert stranger.get(f"/console/models/{MODEL}{page}").status_code == 404, page
        for page in ("/console/", f"/console/search?q={MODEL}", "/console/audit", "/console/pools/default"):
            told = stranger.get(page).text.replace(f'value="{MODEL}"', "").replace(f"“{MODEL}”", "")
            assert f"/models/{MODEL}" not in told, page
