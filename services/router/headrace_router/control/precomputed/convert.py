"""From and to the messages of PrecomputedService."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from headrace.router.v1 import precomputed_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.control.decisions.names import is_name
from headrace_router.control.decisions.stored_answers import Origin
from headrace_router.control.messages.answers import origin_to_proto, timestamp
from headrace_router.control.messages.convert import MAX_REQUEST_ID_CHARS, text
from headrace_router.control.precomputed.decisions.publishes import Answers, Condition, Declared, Publish, State
from headrace_router.control.precomputed.decisions.rows import Chunk, Output

# How far the clocks of who computes answers may be ahead.
CLOCK_TOLERANCE = timedelta(minutes=5)
LONGEST_TTL = timedelta(days=3650)
_MOST_ROWS = 10**12
MAX_RUN_CHARS, MAX_DIGEST_CHARS = 256, 128

_VERSION_NAME = re.compile(r"models/([^/]+)/versions/([^/]+)")
_PUBLISH_NAME = re.compile(r"models/([^/]+)/versions/([^/]+)/publishes/([0-9]{1,18})")
_MODEL_NAME = re.compile(r"models/([^/]+)")


def model_of(name: str, field: str) -> str:
    """Return the model of `models/{model}`. Raises InvalidArgument naming the field."""
    found = _MODEL_NAME.fullmatch(name)
    if found is None or not is_name(found[1]):
        raise _invalid(field, f"'{name}' is not models/{{model}}")
    return found[1]


def version_of(name: str, field: str) -> tuple[str, str]:
    """Return model and version of `models/{model}/versions/{version}`. Raises InvalidArgument naming the field."""
    found = _VERSION_NAME.fullmatch(name)
    if found is None or not (is_name(found[1]) and is_name(found[2])):
        raise _invalid(field, f"'{name}' is not models/{{model}}/versions/{{version}}")
    return found[1], found[2]


def publish_of(name: str) -> tuple[str, str, int]:
    """Return model, version and generation of a publish's name. Raises InvalidArgument."""
    found = _PUBLISH_NAME.fullmatch(name)
    if found is None or not (is_name(found[1]) and is_name(found[2])):
        raise _invalid("name", f"'{name}' is not models/{{model}}/versions/{{version}}/publishes/{{generation}}")
    return found[1], found[2], int(found[3])


def declared(request: precomputed_pb2.BeginPublishRequest, client: str, now: datetime) -> Declared:
    """Return what a publish says of itself. Raises InvalidArgument naming the field."""
    content = precomputed_pb2.BeginPublishRequest()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return Declared(
        declared_rows=count(request.row_count, "row_count"),
        computed_at=_computed_at(request, now),
        ttl=_ttl(request),
        client=client,
        request_id=text(request.request_id, "request_id", MAX_REQUEST_ID_CHARS),
        fingerprint=sha256(content.SerializeToString(deterministic=True)).digest(),
        origin=Origin(
            text(request.origin.run, "origin.run", MAX_RUN_CHARS),
            text(request.origin.manifest_digest, "origin.manifest_digest", MAX_DIGEST_CHARS),
        ),
        computed_by=text(request.origin.version_digest, "origin.version_digest", MAX_DIGEST_CHARS),
    )


def count(number: int, field: str) -> int:
    """Return a number of rows. Raises InvalidArgument naming the field."""
    if not 0 <= number <= _MOST_ROWS:
        raise _invalid(field, f"must be between 0 and {_MOST_ROWS}")
    return number


def chunk_of(message: precomputed_pb2.UploadAnswersRequest) -> Chunk:
    """Return the rows of a message."""
    return Chunk(message.first_row, message.entities, message.columns, tuple(message.dims))


def publish_to_proto(publish: Publish) -> precomputed_pb2.Publish:
    """Return a publish as callers see it."""
    return precomputed_pb2.Publish(
        name=publish.name,
        state=_STATES[publish.state],
        generation=publish.generation,
        row_count=publish.rows,
        entity_count=publish.entities,
        declared_row_count=publish.declared_rows,
        create_time=timestamp(publish.begun_at),
        commit_time=timestamp(publish.committed_at) if publish.committed_at is not None else None,
        expire_time=timestamp(publish.expires_at) if publish.expires_at is not None else None,
        client=publish.client,
        computed_time=timestamp(publish.computed_at),
        origin=origin_to_proto(publish.origin, publish.digest),
    )


def answers_to_proto(answers: Answers) -> precomputed_pb2.PrecomputedAnswers:
    """Return the generations of a version."""
    return precomputed_pb2.PrecomputedAnswers(
        version=answers.version,
        condition=_CONDITIONS[answers.condition],
        active=publish_to_proto(answers.active) if answers.active is not None else None,
        previous=publish_to_proto(answers.previous) if answers.previous is not None else None,
        open=[publish_to_proto(one) for one in answers.opened],
    )


def outputs_to_proto(outputs: Sequence[Output]) -> list[tensor_pb2.TensorSpec]:
    """Return what each row must have."""
    return [
        tensor_pb2.TensorSpec(name=one.name, datatype=one.datatype, shape=one.shape, nan_allowed=one.nan_allowed)
        for one in outputs
    ]


def _computed_at(request: precomputed_pb2.BeginPublishRequest, now: datetime) -> datetime:
    if not request.HasField("computed_time"):
        return now
    try:
        stated = request.computed_time.ToDatetime(now.tzinfo)
    except (ValueError, OverflowError):
        raise _invalid("computed_time", "is no time") from None
    if stated > now + CLOCK_TOLERANCE:
        raise _invalid("computed_time", "is in the future: answers are as old as what they were computed from")
    if stated.timestamp() < 0:
        raise _invalid("computed_time", "is before 1970")
    return min(stated, now)


def _ttl(request: precomputed_pb2.BeginPublishRequest) -> timedelta | None:
    if not request.HasField("ttl"):
        return None
    lasting_s = request.ttl.seconds + request.ttl.nanos / 1e9
    if not 0 < lasting_s <= LONGEST_TTL.total_seconds():
        raise _invalid("ttl", f"must be more than 0 s and at most {LONGEST_TTL.days} days; leave it out for ever")
    return timedelta(seconds=lasting_s)


def _invalid(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)])


_STATES = {
    State.OPEN: precomputed_pb2.Publish.STATE_OPEN,
    State.COMMITTED: precomputed_pb2.Publish.STATE_COMMITTED,
    State.ABORTED: precomputed_pb2.Publish.STATE_ABORTED,
}
_CONDITIONS = {
    Condition.NONE: precomputed_pb2.PrecomputedAnswers.CONDITION_NONE,
    Condition.PRESENT: precomputed_pb2.PrecomputedAnswers.CONDITION_PRESENT,
    Condition.LOST: precomputed_pb2.PrecomputedAnswers.CONDITION_LOST,
    Condition.EXPIRED: precomputed_pb2.PrecomputedAnswers.CONDITION_EXPIRED,
    Condition.UNKNOWN: precomputed_pb2.PrecomputedAnswers.CONDITION_UNKNOWN,
}
