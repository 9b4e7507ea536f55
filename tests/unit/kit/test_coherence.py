"""The checker of kept and computed answers: each rule has a log that keeps it and one that breaks it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.kit.rows import each
from tests.kit.stack.coherence import (
    PRODUCTION,
    Change,
    Exchange,
    Made,
    computed_value,
    made,
    published,
    published_value,
    purged,
    violations,
)

FIRST = Change(PRODUCTION, "v1", 0, 1)
SECOND = Change(PRODUCTION, "v2", 10, 11)
NO_PUBLISH = Change(published("v1"), "", 0, 1)
PUBLISH = Change(published("v1"), "1", 20, 21)
REVERT = Change(published("v1"), "", 30, 31)
PURGE = Change(purged("v1"), "", 40, 41)
BEFORE = [FIRST, NO_PUBLISH]


def online(sent: float, received: float, version: int = 1) -> Exchange:
    return Exchange(sent, received, 3.0, computed_value(version, 3.0), f"v{version}", "online")


def row(sent: float, received: float, publish: int = 1) -> Exchange:
    return Exchange(sent, received, 3.0, published_value(1, publish), "v1", "precomputed", age_s=5)


def kept(sent: float, received: float, age_s: float, source: str = "cache") -> Exchange:
    return replace(online(sent, received), served_from=source, age_s=age_s)


@each(
    "changes,seen,expected",
    [
        pytest.param([FIRST, SECOND], online(5, 6), None, id="before the change"),
        pytest.param([FIRST, SECOND], online(10.2, 10.4), None, id="the old one meanwhile"),
        pytest.param([FIRST, SECOND], online(10.2, 10.4, 2), None, id="the new one meanwhile"),
        pytest.param([FIRST, SECOND], online(10.9, 12), None, id="sent before the acknowledgement"),
        pytest.param([FIRST, SECOND], online(11.1, 12), "of v1, while ['v2'] may answer", id="the old one after it"),
        pytest.param([FIRST, SECOND], kept(11.1, 12, 2), "of v1, while ['v2'] may answer", id="the old one's cache"),
        pytest.param([FIRST, SECOND], online(5, 6, 2), "of v2, while ['v1'] may answer", id="the new one too early"),
        pytest.param(
            [FIRST, replace(SECOND, returned_at=math.inf)],
            online(99, 100),
            None,
            id="the old one, nothing acknowledged",
        ),
        pytest.param([*BEFORE, PUBLISH], row(20.5, 20.6), None, id="a row while it is published"),
        pytest.param([*BEFORE, PUBLISH], row(22, 23), None, id="a row afterwards"),
        pytest.param([*BEFORE, PUBLISH], online(22, 23), None, id="an entity without a row"),
        pytest.param([*BEFORE, PUBLISH], row(19, 19.5), "of publish 1, while [''] may count", id="before it"),
        pytest.param([*BEFORE, PUBLISH], row(22, 23, 2), "of publish 2, while ['1'] may count", id="a foreign row"),
        pytest.param([*BEFORE, PUBLISH, REVERT], row(32, 33), "of publish 1, while [''] may count", id="reverted"),
        pytest.param([FIRST, PURGE], kept(42, 42.1, 1), None, id="cached since the purge"),
        pytest.param([FIRST, PURGE], kept(40.5, 42, 9), None, id="cached before it, sent meanwhile"),
        pytest.param([FIRST, PURGE], kept(42, 42.1, 9), "kept from before the purge at 40.000", id="cached before it"),
        pytest.param(
            [FIRST, PURGE], kept(42, 42.1, 9, "stale"), "kept from before the purge at 40.000", id="stale before it"
        ),
        pytest.param([FIRST], replace(online(5, 6), version="v2"), "says what is not so", id="another version's name"),
        pytest.param([*BEFORE, PUBLISH], replace(row(22, 23), served_from="cache"), "says what is not so", id="a lie"),
        pytest.param([FIRST], replace(online(5, 6), value=1234.5), "nobody makes this value", id="nonsense"),
        pytest.param([FIRST], replace(online(5, 6), error="UNAVAILABLE"), "not answered", id="an error"),
    ],
)
def test_an_answer_is_held_against_what_was_in_force(changes: list[Change], seen: Exchange, expected: str | None):
    found = violations(changes, [seen])
    assert [one.startswith(str(expected)) for one in found] == ([] if expected is None else [True]), found


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("x", [0.0, 5.0])
def test_a_value_shows_what_made_it(version: int, x: float):
    assert made(computed_value(version, x), x) == Made(f"v{version}")
    assert made(published_value(version, 7), x) == Made(f"v{version}", "7")
    assert made(computed_value(version, x), x + 1) is None
