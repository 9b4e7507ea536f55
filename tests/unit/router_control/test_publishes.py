"""What is decided about publishes: room, completeness, condition, and what is given up or removed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from headrace_router.control.decisions.stored_answers import AnswerState, Precomputed
from headrace_router.control.precomputed.decisions.publishes import (
    Condition,
    Publish,
    State,
    Sweep,
    check_complete,
    check_room,
    condition_of,
    plan_sweep,
)
from headrace_servicekit.errors import ResourceExhausted, ServiceError

from tests.kit.rows import each

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HERE = "store-1"
PUBLISH = Publish(
    5, HERE, "digits", "v1", "d1", State.OPEN, "", 0, 0, 0, 0, 0, "ada", NOW, None, NOW
)  # fmt: skip
COMMITTED = replace(PUBLISH, state=State.COMMITTED)
CLOSED = replace(COMMITTED, closed_at=NOW, closed_after=7)
NOTHING = Sweep((), (), (), ())


def counting(number: int, *earlier: int, expires_at: datetime | None = None) -> AnswerState:
    before = tuple(Precomputed(one, NOW) for one in earlier)
    return AnswerState(precomputed=Precomputed(number, NOW, expires_at), earlier=before, newest=number)


def decide(publish: Publish, kept: AnswerState | None, **changed: Any) -> Sweep:
    times = {
        "incarnation": HERE,
        "oldest_in_use": 7,
        "settled": {5},
        "past_revert": set(),
        "expired_before": NOW,
        **changed,
    }
    return plan_sweep([publish], {("digits", "d1"): kept} if kept is not None else {}, **times)


@each("publish,kept,changed,expected", [
        pytest.param(PUBLISH, None, {}, NOTHING, id="an open one is left alone"),
        pytest.param(PUBLISH, counting(5), {}, Sweep((5,), (), (), ()), id="what counts is committed"),
        pytest.param(PUBLISH, counting(6, 5), {}, Sweep((5,), (), (), ()), id="what counted is committed"),
        pytest.param(
            replace(PUBLISH, state=State.ABORTED, closed_at=NOW), counting(5), {}, Sweep((5,), (), (), ()),
            id="what counts is never removed, whatever was noted",
        ),
        pytest.param(COMMITTED, counting(5), {}, NOTHING, id="what counts stays"),
        pytest.param(COMMITTED, counting(6, 5), {}, Sweep((), (5,), (), ()), id="what counts no longer is closed"),
        pytest.param(CLOSED, counting(5), {}, Sweep((), (), (5,), ()), id="what counts again is opened again"),
        pytest.param(CLOSED, counting(6, 5), {}, NOTHING, id="a revert may return to it"),
        pytest.param(CLOSED, counting(6, 5), {"past_revert": {5}}, Sweep((), (), (), (5,)), id="reverts end"),
        pytest.param(CLOSED, counting(9, 5, 6), {}, Sweep((), (), (), (5,)), id="reverts go back one step"),
        pytest.param(CLOSED, counting(9), {}, Sweep((), (), (), (5,)), id="nobody names it"),
        pytest.param(CLOSED, None, {}, Sweep((), (), (), (5,)), id="the version is gone"),
        pytest.param(CLOSED, counting(9), {"oldest_in_use": 6}, NOTHING, id="a data plane may still read it"),
        pytest.param(CLOSED, counting(9), {"settled": set()}, NOTHING, id="somebody may still write to it"),
        pytest.param(COMMITTED, None, {}, Sweep((), (5,), (), ()), id="of a version that is gone: first closed"),
        pytest.param(
            replace(COMMITTED, expires_at=NOW - timedelta(1)), counting(5), {}, Sweep((), (), (), (5,)), id="expired"
        ),
        pytest.param(replace(COMMITTED, expires_at=NOW), counting(5), {}, NOTHING, id="just expired: clocks differ"),
        pytest.param(
            replace(COMMITTED, incarnation="before"), counting(5), {}, Sweep((), (), (), (5,)), id="another store's"
        ),
    ])  # fmt: skip
def test_what_is_to_be_done_about_a_publish(
    publish: Publish, kept: AnswerState | None, changed: dict[str, Any], expected: Sweep
) -> None:
    assert decide(publish, kept, **changed) == expected


@pytest.mark.parametrize(
    ("kept", "marked", "expected"),
    [
        pytest.param(AnswerState(), {5}, Condition.NONE, id="none"),
        pytest.param(counting(5), {5}, Condition.PRESENT, id="present"),
        pytest.param(counting(5), {4}, Condition.LOST, id="lost"),
        pytest.param(counting(5), None, Condition.UNKNOWN, id="nobody knows"),
        pytest.param(counting(5, expires_at=NOW), {5}, Condition.EXPIRED, id="expired"),
        pytest.param(counting(5, expires_at=NOW), None, Condition.EXPIRED, id="expired, whatever the store has"),
    ],
)
def test_condition(kept: AnswerState, marked: set[int] | None, expected: Condition) -> None:
    assert condition_of(kept, marked, NOW) is expected


@pytest.mark.parametrize(
    ("declared", "noted", "there", "acknowledged", "reason"),
    [
        pytest.param(0, 0, 3, 0, "", id="any number, when none was declared"),
        pytest.param(3, 3, 3, 3, "", id="all"),
        pytest.param(3, 2, 2, 2, "ROWS_MISSING", id="some are to come"),
        pytest.param(3, 3, 2, 0, "PUBLISH_LOST", id="fewer than were noted"),
        pytest.param(0, 0, 2, 3, "PUBLISH_LOST", id="fewer than the caller knows of"),
        pytest.param(3, 2, None, 0, "PUBLISH_LOST", id="nothing left"),
        pytest.param(0, 0, 0, 0, "ROWS_MISSING", id="no rows at all"),
    ],
)
def test_completeness(declared: int, noted: int, there: int | None, acknowledged: int, reason: str) -> None:
    publish = replace(PUBLISH, declared_rows=declared, rows=noted)
    try:
        check_complete(publish, there, acknowledged)
        found = ""
    except ServiceError as error:
        found = error.reason
    assert found == reason


def test_answers_have_a_share_of_the_memory_and_the_cache_gives_way() -> None:
    check_room(40, 40, 100, 0.8)
    check_room(10**12, 10**12, 0, 0.8)  # no limit
    with pytest.raises(ResourceExhausted, match="80%") as full:
        check_room(41, 40, 100, 0.8)
    assert full.value.reason == "STORE_FULL"
