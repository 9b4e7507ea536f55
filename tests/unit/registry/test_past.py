"""What stood at a past time: the last words say it as well as the whole history does."""

from datetime import UTC, datetime

from headrace_registry.decisions.models import Action, Event, Stage
from headrace_registry.decisions.past import past

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def event(epoch: int, action: Action, ordinal: int = 0, **fields) -> Event:
    return Event(epoch, ordinal, action, "ann", "", NOW, **fields)


HISTORY = [
    event(1, Action.MODEL_CREATED),
    event(1, Action.VERSION_CREATED, 1, version="v1", to_stage=Stage.REGISTERED),
    event(2, Action.STAGE_CHANGED, version="v1", from_stage=Stage.REGISTERED, to_stage=Stage.PRODUCTION),
    event(3, Action.ALIAS_SET, version="v1", alias="champion"),
    event(4, Action.ALIAS_SET, version="v1", alias="old"),
    event(5, Action.ALIAS_DELETED, version="v1", alias="champion"),
    event(6, Action.VERSION_CREATED, version="v2", to_stage=Stage.REGISTERED),
    event(7, Action.STAGE_CHANGED, version="v1", from_stage=Stage.PRODUCTION, to_stage=Stage.ARCHIVED),
    event(7, Action.STAGE_CHANGED, 1, version="v2", from_stage=Stage.REGISTERED, to_stage=Stage.PRODUCTION),
]


def test_the_whole_history_and_its_last_words_say_the_same():
    last_words = [HISTORY[0], *HISTORY[4:6], *HISTORY[7:]]
    whole = past(HISTORY)
    assert whole == past(last_words) == past(reversed(last_words))
    assert whole is not None
    assert (whole.epoch, whole.production, whole.aliases) == (7, "v2", {"old": "v1"})
    assert whole.production_event == HISTORY[8]
    assert whole.stages == {"v1": Stage.ARCHIVED, "v2": Stage.PRODUCTION}


def test_before_its_first_event_and_after_its_deletion_there_is_no_model():
    assert past([]) is None
    assert past([*HISTORY, event(8, Action.MODEL_DELETED)]) is None
    assert past(HISTORY[:1]) is not None
