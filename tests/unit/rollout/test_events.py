"""What webhooks are told of rollouts."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from headrace_rollout.decisions.events import event_of
from headrace_rollout.decisions.rollouts import Event, State
from headrace_rollout.documents import notice_json, notice_of

from tests.kit.rollout.rollouts import MINUTE, NOW, SHADOW, rollout

DELIVERY = UUID(int=1)


def test_an_event_tells_what_happened_to_which_version_and_why():
    back = replace(rollout(), state=State.ROLLED_BACK, step=0, bad_from=NOW, bad_until=NOW + MINUTE, evidence="large")
    told = event_of(DELIVERY, *notice_of(notice_json(Event("rolled_back", "errors: 9 of 9"), back)), NOW)
    assert (told.type, told.subject) == ("headrace.rollout.rolled_back", "models/digits/rollouts/7")
    assert (told.headline, told.about, told.summary) == ("Rollout rolled back", "digits v2", "errors: 9 of 9")
    assert (told.data["state"], told.data["bad_from"]) == ("STATE_ROLLED_BACK", "2030-01-01T00:00:00Z")
    assert (told.level, told.ends) == ("critical", False)
    assert "large" not in notice_json(Event("rolled_back", ""), back)


@pytest.mark.parametrize("type_", ["thawed", "succeeded", "aborted"])
def test_what_ends_well_resolves_the_incident_that_the_rollout_opened(type_: str):
    assert event_of(DELIVERY, Event(type_, ""), rollout(), NOW).ends
    assert event_of(DELIVERY, Event(type_, ""), rollout(), NOW).incident == "headrace/rollouts/7"


def test_a_shadow_that_is_taken_back_wakes_nobody_for_no_caller_was_answered_by_it():
    back = rollout(SHADOW, state=State.ROLLED_BACK)
    assert event_of(DELIVERY, Event("rolled_back", "flips"), back, NOW).level == "warning"
    assert event_of(DELIVERY, Event("failed", "no batcher"), back, NOW).level == "error"
    assert event_of(DELIVERY, Event("shadowed", ""), rollout(SHADOW, state=State.SHADOWED), NOW).ends


def test_a_webhook_is_told_the_percent_that_the_api_shows():
    event = event_of(UUID(int=1), Event("step", ""), rollout(share=0.07), NOW)
    assert event.data["percent"] == 7
