"""Fields that many requests have: texts that can be stored, ids, and what makes a request repeatable."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from headrace_servicekit.resource_names import ID_RULE, invalid, is_id, shown

MAX_REASON_CHARS = 1000
MAX_REQUEST_ID_CHARS = 128


def kept_text(value: str, field: str, longest: int = MAX_REASON_CHARS) -> str:
    """Return a text that PostgreSQL can keep. Raises InvalidArgument."""
    if len(value) > longest:
        raise invalid(field, f"{len(value)} characters; at most {longest} are allowed")
    if "\0" in value:
        raise invalid(field, "has a NUL character, which cannot be stored")
    return value


def optional_id(value: str, field: str) -> str:
    """Return the id of a model, version, variant or alias; empty for none. Raises InvalidArgument."""
    if value and not is_id(value):
        raise invalid(field, f"{shown(value)} is not an id: {ID_RULE}")
    return value


def fingerprint(request: Any) -> bytes:
    """Return the SHA-256 of a request without its `request_id`: what tells a repetition from another request."""
    content = type(request)()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return sha256(content.SerializeToString(deterministic=True)).digest()
