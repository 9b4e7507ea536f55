"""Fields that many requests have: texts that can be kept, pages of lists that go from the newest down, what repeats."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from headrace_servicekit.resource_names import ID_RULE, invalid, is_id, shown

MAX_REASON_CHARS = 1000
MAX_REQUEST_ID_CHARS = 128
DEFAULT_PAGE, MAX_PAGE = 50, 1000
_BEYOND_ALL = 2**62


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


def page_size(value: int) -> int:
    """Return how many a page has. Raises InvalidArgument."""
    if value < 0:
        raise invalid("page_size", f"{value} is negative; 0 means {DEFAULT_PAGE}")
    return min(value or DEFAULT_PAGE, MAX_PAGE)


def page_token(value: str) -> int:
    """Return the number that a page begins below. Raises InvalidArgument."""
    if not value:
        return _BEYOND_ALL
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise invalid("page_token", "is not a token of this list; begin again with an empty one")
    return int(value)


def fingerprint(request: Any) -> bytes:
    """Return the SHA-256 of a request without its `request_id`: what tells a repetition from another request."""
    content = type(request)()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return sha256(content.SerializeToString(deterministic=True)).digest()
