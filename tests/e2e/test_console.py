"""The console in a real browser, over the whole stack: what people do there, and what no page does."""

from __future__ import annotations

import subprocess
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from headrace_client import Client
from headrace_client.issuer import DevelopmentIssuer

from tests.kit import onnx_models
from tests.kit.browsers import Watched, browser, chromium
from tests.kit.stack import RunningStack

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="NOT CHECKED: no Chromium here; apt-get install chromium"),
    pytest.mark.timeout(300),
]

MODEL = "console-demo"
PAGES = [
    "",
    f"models/{MODEL}",
    f"models/{MODEL}/versions/v1",
    f"models/{MODEL}/route",
    f"models/{MODEL}/rollouts",
    f"models/{MODEL}/shadow",
    f"models/{MODEL}/experiments",
    f"models/{MODEL}/data",
    f"models/{MODEL}/audit",
    "rollouts",
    "experiments",
    "predictions",
    "pools",
    "pools/default",
    "alerts",
    "jobs",
    "audit",
    f"search?q={MODEL}",
]


def link(stack: RunningStack, then: str = "/console/", subject: str = "console-tests") -> str:
    issuer = DevelopmentIssuer(stack.settings.identity)
    asked = {"link": issuer.console_link(subject=subject, now=datetime.now(UTC)), "then": then}
    return f"{stack.url}/console/sign-in/link?{urllib.parse.urlencode(asked)}"


@pytest.fixture(scope="module")
def model(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Two versions, the first in production, and an answer of it that is explained."""
    client = Client(stack.address, token=stack.token("console-tests"))
    folder = tmp_path_factory.mktemp("models")
    for number, version in enumerate(("v1", "v2")):
        path = folder / f"{version}.onnx"
        path.write_bytes(onnx_models.linear(seed=number).content)
        metrics = {"accuracy": 0.95, "latency_p99_ms": 2.0}
        client.register_version(MODEL, version, path, metrics=metrics)
    promoted = client.promote(MODEL, "v1", reason="the first one")
    client.await_epoch(MODEL, promoted.model.epoch, timeout=120)
    return client


@pytest.fixture(scope="module")
def watched(stack: RunningStack, model: Client) -> Iterator[Watched]:
    """A browser, signed in by a link."""
    with browser() as running:
        page = running.new_context(viewport={"width": 1280, "height": 800}).new_page()
        seen = Watched(page, stack.address)
        page.goto(link(stack))
        assert page.title() == "Home · Headrace"
        yield seen


def test_every_page_has_a_title_asks_nobody_else_and_axe_finds_nothing_serious(stack: RunningStack, watched: Watched):
    page, found = watched.page, []
    axe = _axe()
    for path in PAGES:
        answer = page.goto(f"{stack.url}/console/{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert page.title().endswith(" · Headrace")
        if axe is not None:
            # The content policy keeps scripts of others out of the page itself: this one is Playwright's.
            page.evaluate(axe)
            results = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            found += [
                (path, one["id"], [node["html"][:120] for node in one["nodes"][:2]])
                for one in results["violations"]
                if one["impact"] in ("serious", "critical")
            ]
    assert found == []
    assert watched.errors == []


def test_a_promotion_and_a_rollback_by_their_forms_and_a_route_that_somebody_else_changed(
    stack: RunningStack, watched: Watched, model: Client
):
    page = watched.page
    page.goto(f"{stack.url}/console/models/{MODEL}")
    promote = page.locator("form[action$='/promote']")
    promote.locator("select[name=version]").select_option("v2")
    promote.locator("input[name=reason]").fill("better <b>on</b> sevens")
    promote.get_by_role("button", name="Promote").click()
    page.get_by_role("status").wait_for()
    assert model.get_model(MODEL).production_version == "v2"
    assert "better <b>on</b> sevens" in page.locator("#events + ul").inner_text()

    back = page.locator("form[action$='/roll-back']")
    back.locator("input[name=reason]").fill("worse on ones")
    back.get_by_role("button", name="Roll back").click()
    page.get_by_role("status").wait_for()
    assert model.get_model(MODEL).production_version == "v1"

    page.goto(f"{stack.url}/console/models/{MODEL}/route")
    page.locator("select[name=add_version]").select_option("v2")
    page.locator("input[name=add_share]").fill("1")
    page.get_by_role("button", name="Who would move?").click()
    assert "Nothing has changed. With this, 50 %" in page.locator("section", has=page.locator("#change")).inner_text()
    model.set_rules(MODEL, ["country=DE -> production"], reason="somebody else")
    page.get_by_role("button", name="Put into force").click()
    refused = page.get_by_role("alert")
    refused.wait_for()
    assert "etag" in refused.inner_text().lower()
    assert watched.errors == []


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


def test_pages_fit_a_telephone_and_are_read_without_scripts(stack: RunningStack, watched: Watched):
    running = watched.page.context.browser
    assert running is not None
    context = running.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    page = context.new_page()
    page.goto(link(stack))
    for path in PAGES:
        page.goto(f"{stack.url}/console/{path}")
        assert page.locator("h1").first.is_visible()
        box = page.locator("main").bounding_box()
        assert box is not None
        assert box["width"] <= 360, path
    context.close()


def test_an_answer_is_explained_as_a_waterfall(stack: RunningStack, watched: Watched, model: Client):
    answer = model.predict(MODEL, {"features": np.zeros((1, 4), np.float32)}, user_id="ada", explain=True)
    page = watched.page
    page.goto(f"{stack.url}/console/predictions?id={answer.prediction_id}")
    assert page.locator("svg.chart text", has_text="route").count() == 1
    assert "online" in page.locator("section", has=page.locator("#explained")).inner_text()
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


def _axe() -> str | None:
    """Return axe-core, which npm brings; None where it cannot."""
    folder = Path(__file__).parents[2] / ".headrace" / "npm"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        folder.mkdir(exist_ok=True)
        command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4.14.1"]
        try:
            subprocess.run(command, check=True, timeout=60, capture_output=True)
        except (OSError, subprocess.SubprocessError):
            return None
    return script.read_text(encoding="utf-8")
