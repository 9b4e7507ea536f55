"""Names and ids: `models/{model}/versions/{version}`, prediction ids; how wrong ones are refused.

Prediction ids are UUIDs of version 7 (RFC 9562): their first 48 bits are the milliseconds when they were made.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from headrace_servicekit.errors import FieldViolation, InvalidArgument

MAX_CHARS = 63

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ID_RULE = f"lower-case letters and digits in words joined by single hyphens, at most {MAX_CHARS} characters"


class VersionRef(NamedTuple):
    """A version by the ids of its model and itself."""

    model: str
    version: str


def is_id(text: str) -> bool:
    """Return whether text can be the id of a model, version, variant or rule."""
    return len(text) <= MAX_CHARS and _ID.fullmatch(text) is not None


def model_id(name: str, field: str) -> str:
    """Return the model in `models/{model}`. Raises InvalidArgument that names `field`."""
    (model,) = ids(name, field, ("models", "model"))
    return model


def version_ref(name: str, field: str) -> VersionRef:
    """Return the ids in `models/{model}/versions/{version}`. Raises InvalidArgument that names `field`."""
    return VersionRef(*ids(name, field, ("models", "model"), ("versions", "version")))


def ids(name: str, field: str, *collections: tuple[str, str]) -> list[str]:
    """Return the ids in a resource name. collections: each with what one of it is called.

    Raises InvalidArgument that names `field`.
    """
    parts = name.split("/")
    if len(parts) != 2 * len(collections) or parts[::2] != [collection for collection, _ in collections]:
        pattern = "/".join(f"{collection}/{{{one}}}" for collection, one in collections)
        raise invalid(field, f"{shown(name)} is not of the form {pattern}")
    for (_, one), part in zip(collections, parts[1::2], strict=True):
        if not is_id(part):
            raise invalid(field, f"{shown(part)} is not the id of a {one}: {_ID_RULE}")
    return parts[1::2]


def invalid(field: str, description: str, *, reason: str = "") -> InvalidArgument:
    """Return the error for one wrong field."""
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)], reason=reason)


def shown(text: str) -> str:
    """Return text for a message: quoted, escaped, and cut where it is absurdly long."""
    return repr(text if len(text) <= 100 else text[:100] + "…")


def is_prediction_id(candidate: UUID) -> bool:
    """Return whether a UUID is of version 7, of the variant that RFC 9562 defines."""
    return candidate.version == 7


def prediction_time(prediction_id: UUID) -> datetime:
    """Return when a prediction id was made. Raises OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(milliseconds=prediction_id.int >> 80)


def first_prediction_id(time: datetime) -> UUID:
    """Return the id that sorts before every id made at `time` or later, and after all earlier ones."""
    milliseconds = max((time - _EPOCH) // timedelta(milliseconds=1), 0)
    return UUID(int=milliseconds << 80)
