"""What webhooks are told of the history of a model."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from headrace_registry.decisions.models import Action, Event, Stage
from headrace_registry.decisions.notices import event_of
from headrace_registry.storage.documents import NOTICE
from headrace_servicekit.outbox.events import Format, Receiver
from headrace_servicekit.outbox.formats import message

from tests.kit.rows import each

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = UUID(int=7)


def told(action: Action, **how):
    event = Event(5, 0, action, "ann", "because", NOW, version="v2", **how)
    assert NOTICE.read(NOTICE.write(("digits", event))) == ("digits", event)
    return event_of(ID, "digits", event, NOW)


def test_a_promotion_says_what_moved_from_where_to_where_and_by_which_request():
    event = told(Action.STAGE_CHANGED, from_stage=Stage.STAGING, to_stage=Stage.PRODUCTION, promotion_request=4)
    assert (event.type, event.subject) == ("headrace.registry.stage_changed", "models/digits/promotionRequests/4")
    assert event.summary == "staging to production · because · by ann"
    assert event.data["to_stage"] == "STAGE_PRODUCTION"
    assert event.ends


def test_only_broken_glass_is_critical():
    critical = {action for action in Action if told(action).level == "critical"}
    assert critical == {Action.APPROVAL_OVERRIDDEN}


@each("form", Format)
@each("action", Action)
def test_every_action_can_be_told_in_every_format(action: Action, form: Format):
    receiver = Receiver("hook", "https://example.com/x", "k" * 32, form)
    assert message(told(action, promotion_request=4), receiver, NOW).body
