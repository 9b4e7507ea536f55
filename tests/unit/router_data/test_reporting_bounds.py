"""What is recorded when there is too much, and what is dropped: bounded, counted, and fair to units."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from headrace_router.buckets import BUCKETS, bucket_of
from headrace_router.data.reporting.decisions.buffer import Buffer, SealedBatch
from headrace_router.data.reporting.decisions.recorder import RECORD_BYTES, WAKE_BYTES, Record, Recorder, new_drops
from headrace_router.data.reporting.decisions.sampling import CALM_S, SAVED_S, Sampling
from headrace_router.data.tables.table import POINTS, point_of

from tests.kit.router.digits import ROW
from tests.kit.router.fake_control import resolved_version
from tests.kit.router.recording import answered, spec, table_with

MIB = 1024 * 1024


def units_recorded(probability: float) -> list[str]:
    """Return the users of those of 4,000 users' two predictions each that are recorded with a probability."""
    recorder = Recorder(1 << 30, new_drops(), lambda: None)
    recorder.take(probability)
    resolved, answer = answered()
    for number in [*range(4000), *range(4000)]:
        request = replace(resolved.request, user_id=f"user-{number}")
        recorder.add(replace(resolved, request=request), answer)
    taken = recorder.take(1.0)
    assert taken.probability == probability
    assert len(taken.records) + recorder.left_out == 8000
    return [Record._make(one).user_id for one in taken.records]


def test_a_unit_is_in_or_out_as_a_whole_and_stays_in_when_more_are():
    shares = (0.0625, 0.25, 0.5, 1.0)
    recorded = {share: Counter(units_recorded(share)) for share in shares}
    assert {count for units in recorded.values() for count in units.values()} == {2}
    for fewer, more in itertools.pairwise(shares):
        assert recorded[fewer].keys() < recorded[more].keys()
    for share, units in recorded.items():
        assert len(units) == pytest.approx(4000 * share, rel=0.15)


def test_who_is_recorded_does_not_tell_which_variant_is_assigned():
    both = Counter(
        (point_of(f"user-{n}") < POINTS // 4, bucket_of(b"salt", f"user-{n}") < BUCKETS // 4) for n in range(16_000)
    )
    assert both[True, True] / 16_000 == pytest.approx(1 / 16, rel=0.1)


def test_every_data_plane_agrees_on_who_is_in():
    assert point_of("user-4711") == 0xE0FC5FC1


def test_everything_is_recorded_within_the_budget():
    sampling = Sampling(MIB, now=0.0)
    for tenth in range(1, 600):
        sampling.spent(MIB // 10, 1.0, tenth / 10)
    assert sampling.probability == 1.0


def test_beyond_the_budget_so_many_units_are_recorded_as_fit():
    sampling, offered, spent = Sampling(MIB, now=0.0), 10 * MIB, 0.0
    for tenth in range(1, 101):
        size = offered / 10 * sampling.probability
        spent += size
        sampling.spent(int(size), sampling.probability, tenth / 10)
    assert sampling.probability == 1 / 16
    assert spent <= (10 + SAVED_S + 1) * MIB, "ten seconds' worth, what was saved up, and one second's debt"


def test_a_peak_after_calm_is_recorded_whole():
    sampling = Sampling(MIB, now=0.0)
    for second in (1.0, 20.0):
        sampling.spent(9 * MIB, 1.0, second)
        assert sampling.probability == 1.0


def used_up(sampling: Sampling) -> None:
    """Spend what may be saved."""
    sampling.spent(int(SAVED_S * MIB), 1.0, 0.0)


def test_more_are_recorded_when_it_has_been_calm_for_long():
    sampling = Sampling(MIB, now=0.0)
    used_up(sampling)
    sampling.spent(8 * MIB, 1.0, 1.0)
    assert sampling.probability == 1 / 8
    seen = []
    for second in range(2, 2 + 4 * int(CALM_S) + 4):
        sampling.spent(int(MIB / 10 * sampling.probability), sampling.probability, float(second))
        seen.append(sampling.probability)
    assert sorted(seen) == seen
    assert set(seen) == {1 / 8, 1 / 4, 1 / 2, 1.0}


def test_what_was_still_recorded_with_the_probability_before_does_not_lower_it_again():
    sampling = Sampling(MIB, now=0.0)
    used_up(sampling)
    sampling.spent(4 * MIB, 1.0, 1.0)
    sampling.spent(4 * MIB, 1.0, 2.0)
    assert sampling.probability == 1 / 4


def test_load_that_needs_the_sample_keeps_it():
    sampling = Sampling(MIB, now=0.0)
    used_up(sampling)
    sampling.spent(4 * MIB, 1.0, 1.0)
    for second in range(2, 100):
        sampling.spent(int(3.5 * MIB * sampling.probability), sampling.probability, float(second))
    assert sampling.probability == 1 / 4


def add(recorder: Recorder, *, rows: int = 1) -> None:
    """Record one prediction of so many rows, of 16 bytes each."""
    recorder.add(*answered(inputs={"x": ("FP32", [rows, 4], ROW * rows)}))


def test_somebody_is_woken_once_when_enough_is_there():
    woken: list[int] = []
    recorder = Recorder(100 * WAKE_BYTES, new_drops(), lambda: woken.append(1))
    for _ in range(2):
        for _ in range(2 * WAKE_BYTES // RECORD_BYTES):
            add(recorder)
        records, values_bytes, _probability = recorder.take(1.0)
        assert len(records) == 2 * WAKE_BYTES // RECORD_BYTES
        assert values_bytes == len(records) * (len(ROW) + len(Record._make(records[0]).answer.outputs))
    assert len(woken) == 2


def test_what_nobody_takes_is_dropped_and_counted():
    dropped = new_drops()
    recorder = Recorder(10 * RECORD_BYTES, dropped, lambda: None)
    for _ in range(25):
        add(recorder)
        assert recorder.size_bytes <= 10 * RECORD_BYTES
    assert len(recorder.take(1.0).records) + dropped["BUFFER_FULL"] == 25
    add(recorder, rows=1024)
    assert (len(recorder.take(1.0).records), dropped["BUFFER_FULL"]) == (0, 25 - 25 % 9 + 1)


def test_inputs_whose_length_varies_are_weighed():
    version = resolved_version("texts", "v1", inputs=[spec("x", "BYTES")])
    recorder = Recorder(MIB, new_drops(), lambda: None)
    text = (100_000).to_bytes(4, "little") + bytes(100_000)
    recorder.add(*answered(table_with(version), inputs={"x": ("BYTES", [1], text)}))
    assert recorder.size_bytes > 100_000


def sealed(predictions: int, size_bytes: int = 100) -> SealedBatch:
    return SealedBatch(bytes(size_bytes), predictions)


def test_the_oldest_that_were_never_sent_make_room_and_are_counted():
    dropped = new_drops()
    buffer = Buffer(350, dropped)
    for predictions in (1, 2, 4):
        buffer.put(sealed(predictions))
    sent = buffer.take()
    for predictions in (8, 16):
        buffer.put(sealed(predictions))
    assert dropped["BUFFER_FULL"] == 2 + 4
    assert sent is not None
    assert sent.predictions == 1
    rest = [buffer.take(), buffer.take()]
    assert [(one.number, one.predictions) for one in rest if one is not None] == [(2, 8), (3, 16)]
    assert (buffer.size_bytes, buffer.predictions, len(buffer)) == (300, 25, 3)


def test_one_batch_that_is_larger_than_the_buffer_is_dropped():
    dropped = new_drops()
    buffer = Buffer(350, dropped)
    buffer.put(sealed(5, 400))
    assert (dropped["BUFFER_FULL"], buffer.take(), buffer.size_bytes) == (5, None, 0)


def test_what_was_sent_is_sent_again_first_under_its_number():
    buffer = Buffer(10_000, new_drops())
    for predictions in (1, 2, 3, 4):
        buffer.put(sealed(predictions))
    first, second, third = buffer.take(), buffer.take(), buffer.take()
    assert first is not None
    assert second is not None
    assert third is not None
    buffer.acknowledged(second)
    buffer.recall()
    again = [buffer.take() for _ in range(3)]
    assert [(one.number, one.predictions) for one in again if one] == [(1, 1), (3, 3), (4, 4)]
    assert buffer.take() is None


def test_a_batch_that_is_refused_is_counted():
    dropped: Counter[str] = new_drops()
    buffer = Buffer(10_000, dropped)
    buffer.put(sealed(7))
    one = buffer.take()
    assert one is not None
    buffer.refused(one)
    assert (dropped["BATCH_REFUSED"], len(buffer), buffer.predictions) == (7, 0, 0)
