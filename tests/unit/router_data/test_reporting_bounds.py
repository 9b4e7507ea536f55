"""What is recorded when there is too much, and what is dropped: bounded, counted, and fair to units."""

from __future__ import annotations

from collections import Counter

import pytest
from headrace_router.data.reporting.buffer import Buffer, Sealed
from headrace_router.data.reporting.recording import RECORD_BYTES, WAKE_BYTES, Record, Recorder, new_drops
from headrace_router.data.reporting.sampling import CALM_S, Sampling, point_of, sampled

from tests.kit.control import resolved_version
from tests.kit.recording import ROW, answered, record, spec, table_with

MIB = 1024 * 1024


def with_units(count: int) -> list[Record]:
    one = record()
    return [one._replace(user_id=f"user-{number}") for number in range(count)]


def test_a_unit_is_in_or_out_as_a_whole_and_stays_in_when_more_are():
    records = with_units(4000)
    by_probability = {
        share: {Record._make(one).user_id for one in sampled(records * 2, share)} for share in (1.0, 0.5, 0.25, 0.0625)
    }
    assert [len(sampled(records * 2, share)) for share in by_probability] == [
        2 * len(units) for units in by_probability.values()
    ]
    assert by_probability[0.0625] < by_probability[0.25] < by_probability[0.5] < by_probability[1.0]
    for share, units in by_probability.items():
        assert len(units) == pytest.approx(4000 * share, rel=0.15)


def test_every_data_plane_agrees_on_who_is_in():
    assert point_of("user-4711") == 0x4E6EE10F0EF59815


def test_everything_is_recorded_within_the_budget():
    sampling = Sampling(MIB, now=0.0)
    for tenth in range(1, 600):
        sampling.spent(MIB // 10, tenth / 10)
    assert sampling.probability == 1.0


def test_beyond_the_budget_so_many_units_are_recorded_as_fit():
    sampling, offered, spent = Sampling(MIB, now=0.0), 10 * MIB, 0.0
    for tenth in range(1, 101):
        size = offered / 10 * sampling.probability
        spent += size
        sampling.spent(int(size), tenth / 10)
    assert sampling.probability == 1 / 16
    assert spent <= (10 + 2) * MIB, "ten seconds' worth, what was saved up, and one second's debt"


def test_more_are_recorded_when_it_has_been_calm_for_long():
    sampling = Sampling(MIB, now=0.0)
    sampling.spent(8 * MIB, 1.0)
    assert sampling.probability == 1 / 8
    seen = []
    for second in range(2, 2 + 4 * int(CALM_S) + 4):
        sampling.spent(int(MIB / 10 * sampling.probability), float(second))
        seen.append(sampling.probability)
    assert sorted(seen) == seen
    assert set(seen) == {1 / 8, 1 / 4, 1 / 2, 1.0}


def test_load_that_needs_the_sample_keeps_it():
    sampling = Sampling(MIB, now=0.0)
    sampling.spent(4 * MIB, 1.0)
    for second in range(2, 100):
        sampling.spent(int(3.5 * MIB * sampling.probability), float(second))
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
        records, values_bytes = recorder.take()
        assert len(records) == 2 * WAKE_BYTES // RECORD_BYTES
        assert values_bytes == len(records) * (len(ROW) + len(Record._make(records[0]).found.outputs))
    assert len(woken) == 2


def test_what_nobody_takes_is_dropped_and_counted():
    dropped = new_drops()
    recorder = Recorder(10 * RECORD_BYTES, dropped, lambda: None)
    for _ in range(25):
        add(recorder)
        assert recorder.size_bytes <= 10 * RECORD_BYTES
    assert len(recorder.take()[0]) + dropped["BUFFER_FULL"] == 25
    add(recorder, rows=1024)
    assert (len(recorder.take()[0]), dropped["BUFFER_FULL"]) == (0, 25 - 25 % 9 + 1)


def test_inputs_whose_length_varies_are_weighed():
    version = resolved_version("texts", "v1", inputs=[spec("x", "BYTES")])
    recorder = Recorder(MIB, new_drops(), lambda: None)
    text = (100_000).to_bytes(4, "little") + bytes(100_000)
    recorder.add(*answered(table_with(version), inputs={"x": ("BYTES", [1], text)}))
    assert recorder.size_bytes > 100_000


def sealed(predictions: int, size_bytes: int = 100) -> Sealed:
    return Sealed(bytes(size_bytes), predictions)


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
