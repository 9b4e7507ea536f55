"""Prediction ids are UUIDs of version 7 (RFC 9562): their first 48 bits are the milliseconds when they were made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_prediction_id(candidate: UUID) -> bool:
    """Return whether a UUID is of version 7, of the variant that RFC 9562 defines."""
    return candidate.version == 7


def made_at(prediction_id: UUID) -> datetime:
    """Return when a prediction id was made. Raises OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(milliseconds=prediction_id.int >> 80)


def first_id(time: datetime) -> UUID:
    """Return what sorts before every id made at `time` or later, and after all that were made before."""
    milliseconds = max((time - _EPOCH) // timedelta(milliseconds=1), 0)
    return UUID(int=milliseconds << 80)
