"""Pages: sizes within bounds, and tokens that say where the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from headrace_servicekit.resource_names import invalid

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_MAX_TOKEN_CHARS = 512


def size_of(asked: int) -> int:
    """Return how many items a page has at most. Raises InvalidArgument."""
    if asked < 0:
        raise invalid("page_size", f"{asked} is negative; 0 means {DEFAULT_SIZE}")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


def token(query: Sequence[object], last: str | int) -> str:
    """Return the token of the page behind an item."""
    return base64.urlsafe_b64encode(json.dumps([*query, last]).encode()).decode().rstrip("=")


def last_of(given: str, query: Sequence[object], kind: type[str] | type[int]) -> str | int | None:
    """Return the item that a page comes behind, None for the first page. Raises InvalidArgument."""
    if not given:
        return None
    decoded: object = None
    if len(given) <= _MAX_TOKEN_CHARS and given.isascii():
        try:
            decoded = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            decoded = None
    if isinstance(decoded, list) and decoded[:-1] == list(query) and type(decoded[-1]) is kind:
        last = decoded[-1]
        if isinstance(last, str) or 0 <= last < 2**63:
            return last
    raise invalid("page_token", "is not a token of this query; begin again with an empty one")
