"""What people do in the console, in a real browser over the whole stack: promote, roll back, roll out, silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from headrace.rollout.v1.rollout_pb2 import RolloutPolicy
from headrace_client import Client
from headrace_client.issuer import DevelopmentIssuer
from headrace_servicekit.testing import patience

from tests.kit.console.browser import SUBJECT, link, sign_in, two_versions, watched_page
from tests.kit.console.chromium import Watched, chromium
from tests.kit.stack.running import RunningStack

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="NOT CHECKED: no Chromium here; apt-get install chromium"),
    pytest.mark.timeout(300),
]

MODEL = "console-acts"
Step = RolloutPolicy.Step


@pytest.fixture(scope="module")
def model(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return two_versions(stack, MODEL, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def watched(stack: RunningStack, model: Client) -> Iterator[Watched]:
    with watched_page(stack) as seen:
        yield seen


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
    assert model.models.get(MODEL).production_version == "v2"
    assert "better <b>on</b> sevens" in page.locator("#events + ul").inner_text()

    back = page.locator("form[action$='/roll-back']")
    back.locator("input[name=reason]").fill("worse on ones")
    back.get_by_role("button", name="Roll back").click()
    page.get_by_role("status").wait_for()
    assert model.models.get(MODEL).production_version == "v1"

    page.goto(f"{stack.url}/console/models/{MODEL}/route")
    page.locator("select[name=add_version]").select_option("v2")
    page.locator("input[name=add_share]").fill("1")
    page.get_by_role("button", name="Who would move?").click()
    assert "Nothing has changed. With this, 50 %" in page.locator("section", has=page.locator("#change")).inner_text()
    model.routes.set_rules(MODEL, ["country=DE -> production"], reason="somebody else")
    page.get_by_role("button", name="Put into force").click()
    refused = page.get_by_role("alert")
    refused.wait_for()
    assert "etag" in refused.inner_text().lower()
    assert "look at it again" in refused.inner_text().lower()
    assert watched.errors == []


def test_a_rollout_is_planned_started_and_watched_to_its_end(stack: RunningStack, watched: Watched, model: Client):
    page = watched.page
    page.goto(f"{stack.url}/console/models/{MODEL}/rollouts")
    start = page.locator("form.stack")
    start.locator("select[name=version]").select_option("v2")
    start.locator("select[name=strategy]").select_option("rolling")
    start.get_by_role("button", name="What would it do?").click()
    assert "Nothing has begun" in page.locator("section", has=page.locator("#start")).inner_text()
    assert model.rollouts.list(model=MODEL) == []
    steps = [Step(percent=50), Step(percent=100)]
    for step in steps:
        step.dwell.FromMilliseconds(500)
    model.rollouts.put_template(MODEL, RolloutPolicy(strategy=RolloutPolicy.STRATEGY_ROLLING, steps=steps))
    start.locator("select[name=strategy]").select_option("")
    start.locator("input[name=reason]").fill("to see it to its end")
    start.get_by_role("button", name="Start").click()
    page.get_by_role("status").wait_for()
    with page.expect_response(lambda answer: "/console/live/rollouts/" in answer.url):
        page.locator("table th[scope=row] a").first.click()
    # Nobody loads the page again: what is new arrives by itself.
    page.locator(".tag.succeeded").wait_for(timeout=90_000)
    assert page.locator(".steps .past").count() == 2
    assert model.models.get(MODEL).production_version == "v2"
    page.reload()
    assert "to see it to its end" in page.locator("main").inner_text()
    model.models.rollback(MODEL, reason="as it was")
    assert watched.errors == []


def test_alerts_of_a_model_are_silenced_for_a_time_with_a_comment_and_told_of_again(
    stack: RunningStack, watched: Watched, model: Client
):
    page = watched.page
    page.goto(f"{stack.url}/console/alerts?model={MODEL}")
    silence = page.locator("form[action$='/silence']")
    silence.locator("input[name=hours]").fill("1.5")
    silence.locator("input[name=comment]").fill("we know <it>")
    silence.get_by_role("button", name="Silence").click()
    page.get_by_role("status").wait_for()
    (made,) = [one for one in model.alerts.list_silences() if one.model == MODEL]
    assert (made.comment, made.client) == ("we know <it>", SUBJECT)
    assert 5300 < made.expire_time.ToDatetime(UTC).timestamp() - datetime.now(UTC).timestamp() < 5500
    listed = page.locator("#silences + ul li", has_text=MODEL)
    assert "we know <it>" in listed.inner_text()
    listed.get_by_role("button", name="End it").click()
    page.get_by_role("status").wait_for()
    assert [one for one in model.alerts.list_silences() if one.model == MODEL] == []
    assert watched.errors == []


def test_who_is_denied_is_thrown_out_of_a_page_that_is_followed(stack: RunningStack, watched: Watched):
    issuer = DevelopmentIssuer(stack.settings.identity)
    running = watched.page.context.browser
    assert running is not None
    context = running.new_context()
    try:
        page = context.new_page()
        sign_in(page, link(stack, "/console/pools/default", subject="console-mallory"))
        page.locator("#batchers").wait_for()
        with page.expect_response(
            lambda answer: "/console/live/" in answer.url and answer.status == 401, timeout=patience(20) * 1000
        ):
            issuer.deny("console-mallory")
        page.goto(f"{stack.url}/console/")
        assert "/console/sign-in" in page.url
        refused = sign_in(page, link(stack, subject="console-mallory"))
        assert refused is not None
        assert refused.status == 403
    finally:
        issuer.allow("console-mallory")
        context.close()
