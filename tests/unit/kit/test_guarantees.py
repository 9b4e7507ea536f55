"""The checker of what callers were promised: each promise has a log that keeps it and one that breaks it."""

from dataclasses import replace

import grpc
import pytest

from tests.kit.rows import each
from tests.kit.stack.guarantees import EARLY, FOREIGN, MOVED, REMOVED, UNANSWERED, WRONG, Operation, broken
from tests.kit.stack.load import Exchange

V1, V2, BOTH = frozenset({"v1"}), frozenset({"v2"}), frozenset({"v1", "v2"})
FIRST = Operation("promote v1", 0.0, 1.0, V1, 1)
SECOND = Operation("promote v2", 10.0, 11.0, V2, 2)
THIRD = Operation("rollback", 20.0, 21.0, V1, 3)
LATE = replace(SECOND, unacknowledged=("data-1",))
LOST = replace(SECOND, generation=0)


def answer(sent: float, received: float, version: str, generation: int, user: str = "ada") -> Exchange:
    return Exchange(user, sent, received, version=version, generation=generation)


@each(
    "operations,exchange,promise",
    [
        pytest.param([FIRST, SECOND], answer(5, 6, "v1", 1), None, id="before the change"),
        pytest.param([FIRST, SECOND], answer(12, 13, "v2", 2), None, id="after it"),
        pytest.param([FIRST, SECOND], answer(10.2, 10.4, "v1", 1), None, id="the old one while the change is made"),
        pytest.param([FIRST, SECOND], answer(10.2, 10.4, "v2", 2), None, id="the new one while the change is made"),
        pytest.param([FIRST, SECOND], answer(10.9, 11.5, "v1", 1), None, id="answered after the return"),
        pytest.param([FIRST, SECOND], answer(9.5, 10.5, "v2", 2), None, id="sent before anybody asked"),
        pytest.param([FIRST, SECOND], answer(11.1, 11.2, "v1", 1), REMOVED, id="the old one after the return"),
        pytest.param([FIRST, SECOND], answer(9.5, 9.9, "v2", 2), EARLY, id="the new one before anybody asked"),
        pytest.param([FIRST, SECOND], answer(12, 13, "v3", 2), EARLY, id="a version that nobody ever asked for"),
        pytest.param([FIRST, LATE], answer(12, 13, "v1", 1), None, id="a late data plane was named"),
        pytest.param([FIRST, LATE, THIRD], answer(22, 23, "v2", 2), REMOVED, id="the next one ends what was late"),
        pytest.param([FIRST, LOST], answer(12, 13, "v1", 1), None, id="an operation that failed removes nothing"),
        pytest.param([FIRST, LOST], answer(12, 13, "v2", 7), None, id="and may have taken effect"),
        pytest.param([FIRST, SECOND, THIRD], answer(22, 23, "v1", 1), FOREIGN, id="right version, removed generation"),
        pytest.param([FIRST, SECOND], answer(10.2, 10.4, "v1", 2), FOREIGN, id="a generation without the version"),
        pytest.param([FIRST, SECOND], answer(12, 13, "v2", 9), FOREIGN, id="a generation that nobody made"),
    ],
)
def test_an_answer_is_allowed_by_some_table_between_its_sending_and_its_arrival(
    operations: list[Operation], exchange: Exchange, promise: str | None
):
    assert [one.promise for one in broken(operations, [exchange])] == ([promise] if promise else [])


def test_a_request_that_failed_is_told_with_when_and_why():
    failed = Exchange("ada", 5.0, 5.2, grpc.StatusCode.UNAVAILABLE, "NO_BACKEND", "nobody")
    (found,) = broken([FIRST], [failed])
    assert found.promise == UNANSWERED
    assert "UNAVAILABLE NO_BACKEND" in str(failed)


def test_an_answer_that_its_version_does_not_compute_is_found():
    wrong = replace(answer(5, 6, "v1", 1), right=False)
    assert [one.promise for one in broken([FIRST], [wrong])] == [WRONG]


def test_a_user_who_moves_within_a_generation_is_found():
    split = Operation("split", 0.0, 1.0, BOTH, 1)
    there, back = answer(5, 6, "v1", 1), answer(7, 8, "v2", 1)
    assert [one.promise for one in broken([split], [there, back])] == [MOVED]
    assert broken([split], [there, replace(back, user="bob")]) == []
