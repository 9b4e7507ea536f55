"""Gaps in the numbers of a process."""

from datetime import UTC, datetime, timedelta

from headrace_monitor.record.log.decisions.gaps import BatchRange, advance
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PATIENCE = timedelta(seconds=60)


def at(*numbers: int, age_s: float = 0) -> list[tuple[int, datetime]]:
    return [(number, NOON - timedelta(seconds=age_s)) for number in numbers]


def test_numbers_without_a_gap_move_it_on():
    assert advance(0, at(1, 2, 3), NOON, PATIENCE) == (3, ())
    assert advance(3, [], NOON, PATIENCE) == (3, ())


def test_a_gap_stops_it_until_patience_ends():
    assert advance(0, at(1, 4), NOON, PATIENCE) == (1, ())
    assert advance(0, at(1, 4, age_s=60), NOON, PATIENCE) == (4, (BatchRange(2, 3),))
    assert advance(1, [*at(4, age_s=90), *at(5, 9)], NOON, PATIENCE) == (5, (BatchRange(2, 3),))


@given(st.sets(st.integers(1, 40)), st.integers(0, 5), st.sets(st.integers(1, 40)))
def test_every_number_up_to_it_is_there_or_lost_and_none_is_both(numbers, through, old):
    present = [(number, NOON - PATIENCE * (number in old)) for number in sorted(numbers) if number > through]
    found = advance(through, present, NOON, PATIENCE)
    lost = {number for one in found.lost for number in range(one.first, one.last + 1)}
    there = {number for number, _ in present if number <= found.through}
    assert lost | there == set(range(through + 1, found.through + 1))
    assert not lost & there
    following = [since for number, since in present if number > found.through]
    assert not following or following[0] > NOON - PATIENCE


@given(st.integers(1, 9), st.integers(0, 9), st.data())
def test_a_range_without_a_number_is_what_is_left(first, more, data):
    whole = BatchRange(first, first + more)
    number = data.draw(st.integers(whole.first, whole.last))
    left = [one for part in whole.without(number) for one in range(part.first, part.last + 1)]
    assert left == [one for one in range(whole.first, whole.last + 1) if one != number]
