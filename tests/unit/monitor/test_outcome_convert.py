"""What is wrong with one outcome is said of it, with its field and what would be right."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from google.protobuf import timestamp_pb2
from headrace.monitor.v1 import outcome_pb2
from headrace_monitor import names
from headrace_monitor.record.outcomes import convert
from headrace_monitor.record.outcomes.decisions.merge import EntityKey, OutcomeKey, ReportedOutcome
from headrace_servicekit.errors import FieldViolation, InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

NOW = datetime(2030, 6, 1, tzinfo=UTC)
LIMITS = convert.Limits(NOW, memory=timedelta(days=30))
HOUR = timedelta(hours=1)


def prediction(at: datetime) -> str:
    return str(UUID(int=names.first_prediction_id(at).int | 7 << 76 | 2 << 62 | 12345))


def outcome(**fields) -> outcome_pb2.Outcome:
    return outcome_pb2.Outcome(**{"prediction_id": prediction(NOW - HOUR), "kind": "label", "number": 1.0, **fields})


def read(message: outcome_pb2.Outcome) -> ReportedOutcome | FieldViolation:
    (one,) = convert.reported([message], 3, timedelta(hours=24), LIMITS)
    return one


@each(
    "message,field",
    [
        (outcome(prediction_id=""), "prediction_id"),
        (outcome(prediction_id="the first one"), "prediction_id"),
        (outcome(prediction_id="{" + prediction(NOW - HOUR)[:-1] + "}"), "prediction_id"),
        (outcome(prediction_id="f47ac10b-58cc-4372-a567-0e02b2c3d479"), "prediction_id"),
        (outcome(prediction_id=prediction(NOW + HOUR)), "prediction_id"),
        (outcome(prediction_id=prediction(NOW - timedelta(days=365))), "prediction_id"),
        (outcome(prediction_id="ffffffff-ffff-7fff-bfff-ffffffffffff"), "prediction_id"),
        (outcome(entity_id="customer-1"), "entity_id"),
        (outcome(prediction_id="", entity_id="é" * 257), "entity_id"),
        (outcome(prediction_id="", entity_id="a\x00b"), "entity_id"),
        (outcome(kind=""), "kind"),
        (outcome(kind="Label"), "kind"),
        (outcome(kind="label\n"), "kind"),
        (outcome(kind="k" * 64), "kind"),
        (outcome(row=-1), "row"),
        (outcome(row=2**31 - 1), "row"),
        (outcome(number=float("nan")), "number"),
        (outcome(number=float("-inf")), "number"),
        (outcome(kind="conversion", number=0.5), "number"),
        (outcome(kind="reward", text="much"), "text"),
        (outcome(text=""), "text"),
        (outcome(text="x" * 257), "text"),
        (outcome(text="a\x00b"), "text"),
        (outcome_pb2.Outcome(prediction_id=prediction(NOW - HOUR), kind="label"), "number"),
        (outcome(observe_time=timestamp_pb2.Timestamp(seconds=2**40)), "observe_time"),
        (outcome(observe_time=NOW + HOUR), "observe_time"),
        (outcome(observe_time=datetime(1969, 12, 31, tzinfo=UTC)), "observe_time"),
        (outcome(prediction_id="", entity_id="e", observe_time=NOW - timedelta(days=31)), "observe_time"),
    ],
)
def test_an_outcome_that_cannot_be_is_rejected_by_its_field(message, field):
    wrong = read(message)
    assert isinstance(wrong, FieldViolation)
    assert wrong.field == f"outcomes[3].{field}"
    assert 10 < len(wrong.description) < 400


def test_an_outcome_of_a_prediction_and_one_of_an_entity_are_read():
    late = outcome(observe_time=NOW - HOUR, text="cat", row=2)
    assert read(late) == ReportedOutcome(
        OutcomeKey(UUID(late.prediction_id), 2, "label"), convert.Outcome(NOW - HOUR, "cat")
    )
    by_entity = read(outcome(prediction_id="", entity_id="customer 7"))
    assert isinstance(by_entity, ReportedOutcome)
    assert by_entity.key == EntityKey("customer 7", 0, "label", NOW)
    assert by_entity.reach == timedelta(hours=24)


@given(st.binary(max_size=200))
def test_no_outcome_breaks_the_reading(data):
    try:
        message = outcome_pb2.Outcome.FromString(data)
    except Exception:
        return
    assert isinstance(read(message), ReportedOutcome | FieldViolation)


@pytest.mark.parametrize("seconds", [0, -1, 91 * 86_400, 2**50])
def test_a_window_for_entities_that_cannot_be_is_refused(seconds):
    request = outcome_pb2.RecordOutcomesRequest()
    request.entity_window.seconds = seconds
    with pytest.raises(InvalidArgument, match="entity_window"):
        convert.entity_window(request)


@given(st.integers(0, 200 * 365 * 86_400_000_000))
def test_ids_sort_by_the_time_at_which_they_were_made(microseconds):
    time = datetime(1971, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    made = UUID(prediction(time))
    assert names.is_prediction_id(made)
    assert abs(names.prediction_time(made) - time) < timedelta(milliseconds=1)
    assert names.first_prediction_id(time) <= made < names.first_prediction_id(time + timedelta(milliseconds=1))
