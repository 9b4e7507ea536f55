"""Counts since a cursor: each once, whoever was away for how long, and whatever bytes are sent as a cursor."""

import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from headrace_monitor.record.counters.decisions.cursors import (
    ArmKey,
    CountKey,
    Cursor,
    MinuteTally,
    advance,
    first_minute,
    from_bytes_of,
    to_bytes,
)
from headrace_monitor.record.counters.decisions.differences import SeriesKey, minute_of
from headrace_monitor.record.counters.decisions.tallies import Tally, decode, encode
from headrace_statistics.sketches import distinct
from headrace_statistics.sketches.durations import durations
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.router.answer_sources import ONLINE

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
MAIN = CountKey("v1", "main", ONLINE, 0, 0)
ARM = ArmKey("v1", "main")


def tally(*counts: int, invalid: int = 0) -> Tally:
    return Tally(durations(900, counts), 0.1 * sum(counts), invalid=invalid)


def read(before: Cursor | None, log: list[MinuteTally], now: datetime):
    """Read as the service does: what lies before the cursor's minute is not seen."""
    since = first_minute(before, now)
    return advance(before, [one for one in log if one.minute >= since], (), store="s", now=now)


def test_the_first_read_returns_nothing_and_a_cursor_that_begins_there():
    log = [MinuteTally(NOON, MAIN, tally(3))]
    first = read(None, log, NOON + timedelta(seconds=30))
    assert first.counts == {}
    log.append(MinuteTally(NOON, MAIN, tally(2, 1)))
    second = read(first.cursor, log, NOON + timedelta(seconds=31))
    assert {key: one.count for key, one in second.counts.items()} == {MAIN: 3}


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 5)), max_size=30),
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
)
def test_every_answer_is_read_once_whenever_the_reader_comes(answers, reads):
    """answers: second of each report, with its answers. reads: seconds between two reads."""
    log: list[MinuteTally] = []
    now, total, cursor = NOON, 0, read(None, [], NOON).cursor
    waiting = sorted(answers)
    for pause in reads:
        now += timedelta(seconds=pause)
        while waiting and NOON + timedelta(seconds=waiting[0][0]) <= now:
            second, count = waiting.pop(0)
            log.append(MinuteTally(minute_of(NOON + timedelta(seconds=second)), MAIN, tally(count)))
        new = read(from_bytes_of(to_bytes(cursor)), log, now)
        assert new.counts == read(cursor, log, now).counts
        cursor = new.cursor
        total += sum(one.count for one in new.counts.values())
    assert total == sum(one.tally.count for one in log)


def test_a_store_that_was_put_back_has_nothing_new_until_it_has_more():
    log = [MinuteTally(NOON, MAIN, tally(10))]
    cursor = read(read(None, [], NOON).cursor, log, NOON).cursor
    assert read(cursor, [MinuteTally(NOON, MAIN, tally(4))], NOON).counts == {}


def test_units_count_once_however_often_they_are_reported():
    begun = advance(None, (), [(ARM, distinct.of([1, 2]))], store="s", now=NOON)
    assert begun.units == {ARM: (2, 0)}
    again = advance(begun.cursor, (), [(ARM, distinct.of([2, 3])), (ARM, distinct.of([3]))], store="s", now=NOON)
    assert again.units == {ARM: (3, 1)}


def test_a_unit_that_moves_to_another_variant_and_errs_there_again_is_not_new():
    other = ARM._replace(variant="rollout")
    begun = advance(None, (), [(ARM, distinct.of([1, 2]))], store="s", now=NOON)
    moved = advance(begun.cursor, (), [(other, distinct.of([2, 3]))], store="s", now=NOON)
    assert moved.units == {ARM: (2, 0), other: (2, 1)}


def test_a_cursor_with_refused_units_comes_back_and_a_monitor_of_the_release_before_reads_it():
    units = [(ARM, distinct.of([1, 2])), (ARM._replace(kind="refused_units"), distinct.of([3]))]
    cursor = advance(None, (), units, store="s", now=NOON).cursor
    assert from_bytes_of(to_bytes(cursor)) == cursor
    plain = json.loads(zlib.decompress(to_bytes(cursor)[1:]))
    # Two names and a sketch, of those that erred.
    assert [(row[:2], len(row)) for row in plain["units"]] == [(["v1", "main"], 3)]
    del plain["refused_units"]
    older = from_bytes_of(b"\x01" + zlib.compress(json.dumps(plain).encode()))
    assert older.units == {ARM: distinct.of([1, 2])}


@pytest.mark.parametrize("data", [b"x", b"\x01", b"\x01abc", b"\x01\x78\x9c\x03\x00\x00\x00\x00\x01", b"\x02" * 99])
def test_bytes_that_are_no_cursor_are_refused(data):
    with pytest.raises(ValueError, match="cursor"):
        from_bytes_of(data)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 199))
def test_a_cursor_that_was_changed_is_refused_and_breaks_nothing(noise, at):
    good = to_bytes(read(None, [MinuteTally(NOON, MAIN, tally(1, 2))], NOON).cursor)
    changed = bytearray(good)
    changed[at % len(good) : at % len(good) + len(noise)] = noise
    if bytes(changed) != good:
        with pytest.raises(ValueError, match="cursor"):
            from_bytes_of(bytes(changed))


def test_a_tally_with_invalid_answers_comes_back_and_one_without_is_as_it_was_before_there_were_any():
    assert decode(encode(tally(1, 2, invalid=2))) == tally(1, 2, invalid=2)
    assert encode(tally(1, 2))[0] == 1


def test_the_key_of_a_series_without_priority_is_the_one_that_stored_rows_have():
    key = SeriesKey("fraud", "v1", "main", 1, 0, "", "")
    assert key.digest(0).hex() == "c4aafdcbbf4ba08930171c9bff123929"
    assert key.digest(2).hex() == "54b18a907f5b6181cd76d1ac11e335d5"
    assert key._replace(priority=3).digest(0) != key.digest(0) != key.digest(3)
