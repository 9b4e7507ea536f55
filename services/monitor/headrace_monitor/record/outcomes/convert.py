"""Convert between messages and outcomes. A wrong outcome is rejected by itself; the others are recorded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace.monitor.v1 import outcome_pb2
from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.resource_names import invalid, shown

from headrace_monitor import names
from headrace_monitor.record.outcomes.decisions.merge import (
    EntityKey,
    Outcome,
    OutcomeKey,
    RecordedOutcome,
    ReportedOutcome,
    Result,
)

MAX_OUTCOMES = 10_000
MAX_TEXT_BYTES = 256
MAX_ENTITY_BYTES = 512
MAX_ROW = 1_000_000
# Clocks of those who observe and of data planes may be ahead of ours by so much.
SKEW = timedelta(minutes=5)
DEFAULT_WINDOW, MAX_WINDOW = timedelta(hours=24), timedelta(days=90)

_KIND = re.compile(r"[a-z0-9_]{1,63}")
_NUMBERS_ONLY = frozenset(("reward", "conversion"))

RESULTS = {
    Result.RECORDED: outcome_pb2.RecordOutcomesResponse.RESULT_RECORDED,
    Result.REPEATED: outcome_pb2.RecordOutcomesResponse.RESULT_REPEATED,
    Result.OUTDATED: outcome_pb2.RecordOutcomesResponse.RESULT_OUTDATED,
    Result.REJECTED: outcome_pb2.RecordOutcomesResponse.RESULT_REJECTED,
    Result.WAITING: outcome_pb2.RecordOutcomesResponse.RESULT_WAITING,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is accepted now. memory: how long predictions are kept."""

    now: datetime
    memory: timedelta


class _Wrong(Exception):
    """field: of the outcome."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(description)
        self.field, self.description = field, description


def entity_window(request: outcome_pb2.RecordOutcomesRequest) -> timedelta:
    """Return how old the prediction of an entity's outcome may be. Raises InvalidArgument."""
    if not request.HasField("entity_window"):
        return DEFAULT_WINDOW
    try:
        window = request.entity_window.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid("entity_window", "is not a duration") from None
    if not timedelta(0) < window <= MAX_WINDOW:
        raise invalid("entity_window", f"{window} is not above 0 and at most {MAX_WINDOW.days} days")
    return window


def reported(
    messages: Sequence[outcome_pb2.Outcome], first: int, reach: timedelta, limits: Limits
) -> list[ReportedOutcome | FieldViolation]:
    """Return each outcome, or what is wrong with it. first: index of the first one in its request."""
    found: list[ReportedOutcome | FieldViolation] = []
    for index, message in enumerate(messages, first):
        try:
            found.append(_reported(message, reach, limits))
        except _Wrong as wrong:
            found.append(FieldViolation(f"outcomes[{index}].{wrong.field}", wrong.description))
    return found


def _reported(message: outcome_pb2.Outcome, reach: timedelta, limits: Limits) -> ReportedOutcome:
    if not _KIND.fullmatch(message.kind):
        raise _Wrong("kind", f"{shown(message.kind)} is not 1 to 63 lower-case letters, digits and underscores")
    if not 0 <= message.row < MAX_ROW:
        raise _Wrong("row", f"{message.row} is not the index of a row, from 0 and below {MAX_ROW}")
    outcome = Outcome(_observe_time(message, limits), _value(message))
    if message.prediction_id and message.entity_id:
        raise _Wrong("entity_id", "is set beside prediction_id; an outcome is about the one or the other")
    if message.prediction_id:
        return ReportedOutcome(
            OutcomeKey(_prediction_id(message.prediction_id, limits), message.row, message.kind), outcome
        )
    if not message.entity_id:
        raise _Wrong(
            "prediction_id", "is empty, and so is entity_id; give the id that the answer carried, or an entity"
        )
    entity = _text("entity_id", message.entity_id, MAX_ENTITY_BYTES)
    if outcome.observe_time < limits.now - limits.memory:
        raise _Wrong("observe_time", f"predictions before {_date(limits.now - limits.memory)} have expired")
    return ReportedOutcome(EntityKey(entity, message.row, message.kind, outcome.observe_time), outcome, reach)


def _prediction_id(text: str, limits: Limits) -> UUID:
    try:
        # UUID() alone also takes braces, URNs and hyphens anywhere.
        found = UUID(text) if len(text) == 36 else None
    except ValueError:
        found = None
    if found is None or str(found) != text.lower() or not names.is_prediction_id(found):
        raise _Wrong("prediction_id", f"{shown(text)} is not the id of a prediction (a UUID of version 7)")
    if found >= names.first_prediction_id(limits.now + SKEW):
        raise _Wrong("prediction_id", f"{text} says that it will be made in the future; give the id as it was answered")
    if found < names.first_prediction_id(limits.now - limits.memory):
        oldest = _date(limits.now - limits.memory)
        raise _Wrong(
            "prediction_id",
            f"{text} is of {_date(names.prediction_time(found))}; predictions before {oldest} have expired",
        )
    return found


def _observe_time(message: outcome_pb2.Outcome, limits: Limits) -> datetime:
    if not message.HasField("observe_time"):
        return limits.now
    try:
        time = message.observe_time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise _Wrong("observe_time", "is not a time between the years 1 and 9999") from None
    if time > limits.now + SKEW:
        raise _Wrong("observe_time", f"{time.isoformat()} is in the future; give when it became true, or leave it out")
    if time.year < 1970:
        raise _Wrong("observe_time", f"{time.isoformat()} is before 1970")
    return time


def _value(message: outcome_pb2.Outcome) -> float | str:
    match message.WhichOneof("value"):
        case "number":
            if not math.isfinite(message.number):
                raise _Wrong("number", f"{message.number} is not a finite number")
            if message.kind == "conversion" and message.number not in (0.0, 1.0):
                raise _Wrong("number", f"{message.number:g} is no conversion: 1 for one, 0 for none")
            return message.number + 0.0  # -0.0 and 0.0 are the same value
        case "text":
            if message.kind in _NUMBERS_ONLY:
                raise _Wrong("text", f"a {message.kind} is a number; set `number` instead")
            return _text("text", message.text, MAX_TEXT_BYTES)
    raise _Wrong("number", "is not set, and neither is text; an outcome needs one of them")


def _text(field: str, text: str, most: int) -> str:
    if not text or len(text.encode()) > most:
        raise _Wrong(field, f"has {len(text.encode())} bytes; 1 to {most} are taken")
    if "\x00" in text:
        raise _Wrong(field, "has a NUL character, which cannot be stored")
    return text


def prediction_id(request: outcome_pb2.ListOutcomesRequest) -> UUID:
    """Return the prediction id of the request. Raises InvalidArgument."""
    try:
        return UUID(request.prediction_id)
    except ValueError:
        description = f"{shown(request.prediction_id)} is not the id of a prediction (a UUID of version 7)"
        raise invalid("prediction_id", description) from None


def to_response(results: Iterable[Result], rejections: Iterable[FieldViolation]) -> outcome_pb2.RecordOutcomesResponse:
    """Return the answer to a request."""
    response = outcome_pb2.RecordOutcomesResponse(results=[RESULTS[result] for result in results])
    for rejection in rejections:
        response.rejections.add(field=rejection.field, description=rejection.description)
    return response


def to_outcome(key: OutcomeKey, record: RecordedOutcome) -> outcome_pb2.Outcome:
    """Return a recorded outcome as a message."""
    message = outcome_pb2.Outcome(
        prediction_id=str(key.prediction_id), kind=key.kind, row=key.row, client=record.client
    )
    if isinstance(record.outcome.value, str):
        message.text = record.outcome.value
    else:
        message.number = record.outcome.value
    message.observe_time.FromDatetime(record.outcome.observe_time)
    message.record_time.FromDatetime(record.record_time)
    return message


def _date(time: datetime) -> str:
    return time.strftime("%Y-%m-%d")
