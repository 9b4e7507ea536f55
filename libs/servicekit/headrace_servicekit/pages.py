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
# Above every number of an item.
BEYOND_ALL = 2**62


def page_size(value: int) -> int:
    """Return how many items a page has at most. Raises InvalidArgument."""
    if value < 0:
        raise invalid("page_size", f"{value} is negative; 0 means {DEFAULT_SIZE}")
    return min(value or DEFAULT_SIZE, MAX_SIZE)


def page_token(value: str) -> int:
    """Return the number that a page of a list from the newest down begins below. Raises InvalidArgument."""
    if not value:
        return BEYOND_ALL
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise invalid("page_token", "is not a token of this list; begin again with an empty one")
    return int(value)


def token_of(query: Sequence[object], last: object) -> str:
    """Return the page token of the page after an item. query: fields that the next call has to repeat."""
    return base64.urlsafe_b64encode(json.dumps([*query, last]).encode()).decode().rstrip("=")


def last_of(page_token: str, query: Sequence[object], kind: type[str] | type[int]) -> str | int | None:
    """Return the last item before a page, from its token; None for the first page. Raises InvalidArgument."""
    if not page_token:
        return None
    decoded: object = None
    if len(page_token) <= _MAX_TOKEN_CHARS and page_token.isascii():
        try:
            decoded = json.loads(base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            decoded = None
    if isinstance(decoded, list) and decoded[:-1] == list(query) and type(decoded[-1]) is kind:
        last = decoded[-1]
        if isinstance(last, str) or 0 <= last < 2**63:
            return last
    raise invalid("page_token", "is not a token of this query; begin again with an empty one")
