"""Promotions that wait for approvals: shown on the page of their model, and answered there."""

from typing import Any

import grpc

from tests.kit.clients.methods import path_of
from tests.kit.console.service import ConsoleUnderTest

PAGE = "/console/models/digits"


def sent(console: ConsoleUnderTest, method: str) -> list[Any]:
    return [message for path, message, _ in console.api.asked if path == path_of(method)]


async def test_a_request_is_shown_with_what_stands_in_its_way_and_is_answered_with_a_reason(
    console: ConsoleUnderTest,
):
    form_token = await console.sign_in()
    page = (await console.browser.get(PAGE)).text
    assert "waits for approval" in page
    assert "would be refused now" in page
    answers = {"approve": "ApprovePromotion", "reject": "RejectPromotion", "withdraw": "WithdrawPromotion"}
    for action, method in answers.items():
        form = {"form_token": form_token, "action": action, "reason": "looked at the slices", "request_id": action}
        answer = await console.browser.post(f"{PAGE}/approvals/17", data=form)
        assert answer.headers["location"] == f"{PAGE}?done={action}"
        (message,) = sent(console, method)
        told = (message.name, message.reason, message.request_id)
        assert told == ("models/digits/promotionRequests/17", "looked at the slices", action)


async def test_what_the_registry_refuses_is_shown_with_its_reason(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    why = "the requester and the uploader"
    console.api.refusal[path_of("ApprovePromotion")] = (grpc.StatusCode.PERMISSION_DENIED, why)
    form = {"form_token": form_token, "action": "approve"}
    answer = await console.browser.post(f"{PAGE}/approvals/17", data=form)
    assert answer.status_code == 403
    assert why in answer.text
    assert "waits for approval" in answer.text


async def test_requests_that_cannot_be_read_are_a_line_of_the_page(console: ConsoleUnderTest):
    await console.sign_in()
    console.api.refusal[path_of("ListPromotionRequests")] = (grpc.StatusCode.UNAVAILABLE, "away")
    answer = await console.browser.get(PAGE)
    assert answer.status_code == 200
    assert "The registry does not answer: away." in answer.text
    assert "waits for approval" not in answer.text


async def test_others_are_asked_for_a_promotion_and_it_says_how_it_takes_effect(console: ConsoleUnderTest):
    form_token = await console.sign_in()
    form = {"form_token": form_token, "version": "v2", "stage": "production", "reason": "better on sevens"}
    answer = await console.browser.post(f"{PAGE}/approvals", data={**form, "how": "shadow", "request_id": "r"})
    assert answer.headers["location"] == f"{PAGE}?done=asked"
    (message,) = sent(console, "RequestPromotion")
    assert (message.name, message.reason) == ("models/digits/versions/v2", "better on sevens")
    assert dict(message.rollout_policy) == {"strategy": "STRATEGY_SHADOW"}
    for wrong in ({"how": "linear"}, {"stage": "prodution"}):
        answer = await console.browser.post(f"{PAGE}/approvals", data={**form, **wrong})
        assert answer.status_code == 400
        assert f"<code>{next(iter(wrong))}</code>" in answer.text
    assert len(sent(console, "RequestPromotion")) == 1


async def test_who_asked_may_take_it_back_and_nobody_else_is_offered_that(console: ConsoleUnderTest):
    for subject, offered in (("plain", True), ("ada", False)):
        await console.sign_in(subject)
        assert ("Take it back" in (await console.browser.get(PAGE)).text) is offered


async def test_the_page_of_a_version_says_which_gates_it_meets(console: ConsoleUnderTest):
    await console.sign_in()
    page = (await console.browser.get(f"{PAGE}/versions/v1")).text
    assert "If it were promoted to production now" in page
    assert "not met" in page
