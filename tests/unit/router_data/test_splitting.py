from collections import Counter

import pytest
from headrace.router.v1 import route_pb2
from headrace_router.buckets import BUCKETS, bucket_of
from headrace_router.data.tables.table import (
    assigns_requests,
    check_ends,
    point_of,
    position_of,
    unit_of,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

SALT = bytes(range(16))
Route = route_pb2.Route


@st.composite
def ranges(draw):
    """Rising ends of ranges that cover every bucket."""
    inner = draw(st.lists(st.integers(1, BUCKETS - 1), max_size=8, unique=True))
    return [*sorted(inner), BUCKETS]


@given(ends=ranges(), unit=st.text(max_size=40))
def test_a_unit_falls_into_the_range_that_holds_its_bucket(ends, unit):
    position = position_of(SALT, ends, unit)
    begin = ends[position - 1] if position else 0
    assert begin <= bucket_of(SALT, unit) < ends[position]


@given(unit=st.text(max_size=40))
def test_growing_the_first_range_takes_units_in_and_lets_none_out(unit):
    if position_of(SALT, [100_000, BUCKETS], unit) == 0:
        assert position_of(SALT, [200_000, BUCKETS], unit) == 0


def test_shares_follow_the_widths_of_the_ranges():
    counts = Counter(position_of(SALT, [900_000, BUCKETS], f"user-{number}") for number in range(100_000))
    assert counts[0] / 100_000 == pytest.approx(0.9, abs=0.005)


def test_assignment_is_the_same_in_every_process_and_release():
    # Values of the first release: a change would move every user of every route.
    assert [bucket_of(SALT, unit) for unit in ("", "user-1", "ü")] == [88685, 519196, 502356]
    assert [point_of(unit) for unit in ("", "user-1", "ü")] == [0, 3051481044, 4279949637]


@each(
    "rule,user,entity,expected",
    [
        pytest.param(Route.UNIT_UNSPECIFIED, "u", "e", "u", id="users come first"),
        pytest.param(Route.UNIT_UNSPECIFIED, "", "e", "e", id="then the entity"),
        pytest.param(Route.UNIT_UNSPECIFIED, "", "", "r", id="then the request"),
        pytest.param(Route.UNIT_USER, "u", "e", "u", id="by user"),
        pytest.param(Route.UNIT_USER, "", "e", "r", id="by user, without one: sticky to nothing"),
        pytest.param(Route.UNIT_ENTITY, "u", "e", "e", id="by entity"),
        pytest.param(Route.UNIT_ENTITY, "u", "", "r", id="by entity, without one"),
        pytest.param(Route.UNIT_REQUEST, "u", "e", "r", id="by request"),
    ],
)
def test_what_is_assigned(rule, user, entity, expected):
    assert unit_of(rule, user_id=user, entity_id=entity, request_id="r") == expected


def test_only_by_request_is_each_request_assigned_by_itself():
    units = (Route.UNIT_UNSPECIFIED, Route.UNIT_USER, Route.UNIT_ENTITY, Route.UNIT_REQUEST)
    assert [unit for unit in units if assigns_requests(unit)] == [Route.UNIT_REQUEST]


def test_ranges_that_cover_every_slot_once_are_taken():
    for ends in ([BUCKETS], [1, BUCKETS], [1, 2, BUCKETS]):
        check_ends(ends)


@pytest.mark.parametrize("ends", [[], [BUCKETS - 1], [BUCKETS + 1], [5, 5, BUCKETS], [9, 3, BUCKETS]])
def test_ranges_that_do_not_cover_every_slot_once_are_refused(ends):
    with pytest.raises(ValueError, match="range"):
        check_ends(ends)
