"""Opaque texts that the registry hands out and takes back: etags, page tokens, watch tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from uuid import UUID

from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.errors import Aborted
from headrace_servicekit.resource_names import invalid

from headrace_registry.decisions.models import Model

_MAX_TOKEN_CHARS = 1024


def etag(model: Model) -> str:
    """Return the etag of a model's state. A restored store has another incarnation, so old etags do not match there."""
    return hashlib.sha256(f"{model.incarnation}/{model.name}/{model.epoch}".encode()).hexdigest()[:20]


def check_etag(model: Model, given: str) -> None:
    """Raise Aborted, reason ETAG_MISMATCH, unless `given` is empty or the etag of the model as it is."""
    current = etag(model)
    if given not in ("", current):
        raise Aborted(
            f"model '{model.name}' changed since it was read: read it again, then decide again",
            reason="ETAG_MISMATCH",
            metadata={"current_etag": current},
        )


def watch_token(position: Position) -> str:
    """Return the token from which a watch resumes after `position`."""
    return _encode([position.incarnation.hex, position.sequence])


def watch_position(token: str, field: str) -> Position | None:
    """Return the position in a token; None for an empty one. Raises InvalidArgument when it is not one of ours."""
    if not token:
        return None
    decoded = _decode(token)
    match decoded:
        case [str(incarnation), int(sequence)] if not isinstance(sequence, bool) and 0 <= sequence < 2**63:
            try:
                return Position(UUID(hex=incarnation), sequence)
            except ValueError:
                pass
    raise invalid(field, "is not a token of this method; send an empty one for a snapshot")


def page_token(query: Sequence[str], cursor: Sequence[str | int]) -> str:
    """Return the token for the page of `query` that begins after `cursor`."""
    return _encode([list(query), list(cursor)])


def page_cursor(token: str, query: Sequence[str], shape: Sequence[type], field: str) -> tuple | None:
    """Return the cursor in a token, its items of the types in `shape`; None for an empty token.

    Raises InvalidArgument when the token is not one of ours, or belongs to another query.
    """
    if not token:
        return None
    decoded = _decode(token)
    match decoded:
        case [list(asked), list(cursor)] if (
            asked == list(query)
            and len(cursor) == len(shape)
            and all(type(item) is kind for item, kind in zip(cursor, shape, strict=True))
            and all(not isinstance(item, int) or 0 <= item < 2**63 for item in cursor)
            and all(not isinstance(item, str) or _storable(item) for item in cursor)
        ):
            return tuple(cursor)
    raise invalid(field, "is not a token of this query; begin again with an empty one")


def _storable(text: str) -> bool:
    """Return whether the database takes a text: no zero byte, and no half of a surrogate pair, which JSON can say."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _encode(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(token: str) -> object:
    """Return what a token holds, or None when it is none."""
    if len(token) > _MAX_TOKEN_CHARS or not token.isascii():
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
