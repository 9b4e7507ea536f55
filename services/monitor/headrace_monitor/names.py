"""Names and ids: `models/{model}/versions/{version}`, prediction ids.

Prediction ids are UUIDs of version 7 (RFC 9562): their first 48 bits are the milliseconds when they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from headrace_servicekit.resource_names import ids, invalid

# Of one request.
MAX_MODELS = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class VersionRef(NamedTuple):
    """A version by the ids of its model and itself."""

    model: str
    version: str


def model_id(name: str, field: str) -> str:
    """Return the model in `models/{model}`. Raises InvalidArgument that names `field`."""
    (model,) = ids(name, field, "models/{model}")
    return model


def model_ids(named: Sequence[str], field: str) -> list[str]:
    """Return the models of a list of `models/{model}`, each once. Raises InvalidArgument that names the field."""
    if not 0 < len(named) <= MAX_MODELS:
        raise invalid(field, f"{len(named)} models; 1 to {MAX_MODELS} are reported at once")
    return list(dict.fromkeys(model_id(name, f"{field}[{index}]") for index, name in enumerate(named)))


def model_or_version(name: str, field: str) -> VersionRef:
    """Return the ids in the name of a model, without a version, or of a version. Raises InvalidArgument."""
    return version_ref(name, field) if name.count("/") > 1 else VersionRef(model_id(name, field), "")


def version_ref(name: str, field: str) -> VersionRef:
    """Return the ids in `models/{model}/versions/{version}`. Raises InvalidArgument that names `field`."""
    return VersionRef(*ids(name, field, "models/{model}/versions/{version}"))


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
