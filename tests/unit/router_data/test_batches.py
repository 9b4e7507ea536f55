"""What of a prediction is told to the monitor, and how."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from headrace.router.v1 import route_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_router.data.answer.answer import ServedFrom
from headrace_router.data.reporting.decisions.batches import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    MAX_ATTRIBUTES_CHARS,
    MAX_TEXT_CHARS,
    Batch,
    chunks,
)
from headrace_router.data.reporting.decisions.recorder import Record

from tests.kit.monitor.fake_ingest import Recorded, recorded
from tests.kit.router.answer_sources import PRECOMPUTED
from tests.kit.router.digits import ROW, V1
from tests.kit.router.fake_control import resolved_version
from tests.kit.router.recording import OUTPUTS, record, spec, table_with

NAME = ("BYTES", [1], b"\3\0\0\0Eva")
AGE = ("FP32", [1], struct.pack("<f", 30))


def read(*records: Record, probability: float = 1.0, unix_s: float = 1.7e9) -> list[Recorded]:
    """Return the predictions of a batch, as the monitor reads them."""
    batch = Batch()
    batch.add(records, probability, unix_s)
    assert batch.count == len(records)
    return list(recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch))


def test_a_prediction_comes_out_as_it_was_answered():
    made = record(
        user="ann",
        entity="item-9",
        attributes={"country": "AT"},
        arrived=10.0,
        took_s=0.25,
        queue_us=7,
        compute_us=8,
        age_ms=9,
        served_from=ServedFrom.PRECOMPUTED,
        fallback_step="yesterday",
    )
    (seen,) = read(made, probability=0.25)
    assert seen.prediction_id == made.answer.prediction_id
    assert seen.answer_time_us == 1_700_000_010_250_000
    assert (seen.request_id, seen.unit, seen.entity_id, seen.attributes) == ("request-1", "ann", "item-9", "country=AT")
    assert (seen.total_us, seen.queue_us, seen.compute_us, seen.age_ms) == (250_000, 7, 8, 9)
    assert (seen.probability, seen.rows, seen.inputs) == (0.25, 1, {"x": ROW})
    assert list(seen.outputs.raw_output_contents) == [OUTPUTS["y"][2]]
    group = seen.group
    assert (group.model, group.version, group.digest, group.variant) == ("digits", "v1", V1.digest, "v1")
    assert (group.served_from, group.fallback_step) == (PRECOMPUTED, "yesterday")


def test_predictions_that_have_much_in_common_share_a_group():
    two_rows = {"x": ("FP32", [2, 4], ROW * 2)}
    made = [record(), record(), record(inputs=two_rows), record(served_from=ServedFrom.CACHE), record(pinned="v1")]
    batch = Batch()
    batch.add(made[:3], 1.0, 0.0)
    batch.add(made[3:] + made[:1], 1.0, 0.0)
    message = telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch
    assert list(message.group) == [0, 0, 1, 2, 3, 0]
    assert [one.prediction_id for one in recorded(message)] == [one.answer.prediction_id for one in made + made[:1]]
    assert [one.rows for one in recorded(message)] == [1, 1, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("unit", "given", "expected"),
    [
        pytest.param("UNIT_UNSPECIFIED", {"user": "u", "entity": "e"}, "u", id="the user"),
        pytest.param("UNIT_UNSPECIFIED", {"entity": "e"}, "e", id="else the entity"),
        pytest.param("UNIT_UNSPECIFIED", {}, "request-1", id="else the request"),
        pytest.param("UNIT_ENTITY", {"user": "u", "entity": "e"}, "e", id="by entity"),
        pytest.param("UNIT_REQUEST", {"user": "u", "entity": "e"}, "request-1", id="by request"),
        pytest.param("UNIT_USER", {"user": "u", "pinned": "v1"}, "", id="pinned: nothing was chosen"),
    ],
)
def test_the_unit_is_what_the_variant_was_chosen_for(unit, given, expected):
    among = table_with(unit=route_pb2.Route.Unit.Value(unit))
    assert read(record(among, **given))[0].unit == expected


def test_inputs_that_are_left_out_and_dimensions_that_vary_are_told_by_the_group():
    version = resolved_version(
        "texts",
        "v1",
        inputs=[spec("a", "FP32", -1, 2), spec("b", "INT64", optional=True), spec("c", "INT64", -1)],
        outputs=[spec("y", "FP32", 1)],
    )
    inputs = {"a": ("FP32", [1, 3, 2], bytes(24)), "c": ("INT64", [1, 5], bytes(40))}
    (seen,) = read(record(table_with(version), inputs=inputs))
    assert [(one.name, list(one.shape)) for one in seen.group.inputs] == [("a", [3, 2]), ("c", [5])]
    assert seen.inputs == {"a": bytes(24), "c": bytes(40)}


PEOPLE = resolved_version(
    "people",
    "v1",
    inputs=[spec("name", "BYTES", sensitive=True), spec("age", "FP32")],
    outputs=[spec("y", "FP32", 1), spec("again", "BYTES", sensitive=True)],
)
STRICTER = resolved_version(
    "people",
    "v2",
    inputs=[spec("name", "BYTES", sensitive=True), spec("age", "FP32", sensitive=True)],
    outputs=[spec("y", "FP32", 1, sensitive=True), spec("again", "BYTES")],
)
ANSWERED = {**OUTPUTS, "again": NAME}


def test_what_is_sensitive_stays_here():
    made = record(table_with(PEOPLE), inputs={"name": NAME, "age": AGE}, outputs=ANSWERED)
    (seen,) = read(made)
    assert seen.inputs == {"age": AGE[2]}
    assert [one.name for one in seen.outputs.outputs] == ["y"]
    assert list(seen.outputs.raw_output_contents) == [OUTPUTS["y"][2]]


def test_attributes_that_are_called_like_what_is_sensitive_stay_here_too():
    people = resolved_version(
        "people",
        "v1",
        inputs=[spec("name", "BYTES", optional=True, sensitive=True), spec("age", "FP32")],
        outputs=[spec("y", "FP32", 1)],
    )
    attributes = {"Name": "Eva", "country": "AT"}
    for inputs in ({"name": NAME, "age": AGE}, {"age": AGE}):
        (seen,) = read(record(table_with(people), inputs=inputs, attributes=attributes))
        assert seen.attributes == "country=AT"


def test_a_fallback_that_is_stricter_is_kept_to_as_well():
    backup = table_with(STRICTER).assign(user_id="", entity_id="", request_id="").served
    made = record(table_with(PEOPLE), inputs={"name": NAME, "age": AGE}, outputs=ANSWERED, computed_by=backup)
    (seen,) = read(made)
    assert (seen.group.version, seen.inputs, list(seen.outputs.outputs)) == ("v2", {}, [])


def test_values_that_the_route_gives_have_no_version():
    (seen,) = read(record(given=True, served_from=ServedFrom.FALLBACK, fallback_step="constant"))
    assert (seen.group.version, seen.group.digest, seen.group.variant) == ("", "", "v1")


def test_outputs_that_cannot_be_read_are_not_told_where_some_are_sensitive():
    made = record(table_with(PEOPLE), inputs={"name": NAME, "age": AGE})
    broken = made._replace(answer=replace(made.answer, outputs=b"\xff\xff"))
    assert not read(broken)[0].outputs.outputs


def test_callers_cannot_write_into_the_columns_of_others():
    attributes = {"a=b": "c\x1fd=e", "z": "x" * 10_000}
    (seen,) = read(record(attributes=attributes, user="u" * 10_000, queue_us=-5, compute_us=2**40, age_ms=2**40))
    assert seen.attributes.startswith("a\ufffdb=c\ufffdd=e\x1fz=xxx")
    assert len(seen.attributes) == MAX_ATTRIBUTES_CHARS
    assert len(seen.unit) == MAX_TEXT_CHARS
    assert (seen.queue_us, seen.compute_us, seen.age_ms) == (0, 2**32 - 1, 2**40)


def test_chunks_are_bounded_in_number_and_in_bytes():
    small = [record()] * (2 * CHUNK_RECORDS + 1)
    assert [len(chunk) for chunk in chunks(small, 100)] == [CHUNK_RECORDS, CHUNK_RECORDS, 1]
    large = record(inputs={"x": ("FP32", [1024, 4], bytes(16 * 1024))})
    mixed = [large, *small, *[large] * 100]
    cut = list(chunks(mixed, 2 * CHUNK_BYTES))
    assert [row for chunk in cut for row in chunk] == mixed
    assert max(map(len, cut)) == CHUNK_RECORDS
    assert all(sum(len(Record._make(row).inputs[0]) for row in chunk) <= CHUNK_BYTES for chunk in cut)
