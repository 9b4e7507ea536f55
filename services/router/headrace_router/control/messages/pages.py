"""Pages of lists: sizes within bounds, and tokens that say where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from google.protobuf.message import Message
from headrace_servicekit.errors import FieldViolation, InvalidArgument

Item = TypeVar("Item")
Rendered = TypeVar("Rendered", bound=Message)

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
# Clients take at most 4 MiB by default: a page ends before it, however many items were asked for.
MAX_PAGE_BYTES = 3 * 1024 * 1024


class Page(Generic[Item, Rendered]):
    """The messages of a page, and the token of the next one: empty while there is room for more.

    key: what the next page comes behind.
    """

    def __init__(self, size: int, render: Callable[[Item], Rendered], key: Callable[[Item], str]) -> None:
        self._size, self._render, self._key = size, render, key
        self._bytes, self._last = 0, ""
        self.messages: list[Rendered] = []
        self.token = ""

    def take(self, items: Iterable[Item]) -> bool:
        """Add items as far as there is room; return whether there is room for more."""
        for item in items:
            message = self._render(item)
            self._bytes += message.ByteSize()
            if self.messages and (len(self.messages) == self._size or self._bytes > MAX_PAGE_BYTES):
                self.token = token_of(self._last)
                return False
            self.messages.append(message)
            self._last = self._key(item)
        return True


def page_size(asked: int) -> int:
    """Return how many items a page has at most. Raises InvalidArgument."""
    if asked < 0:
        raise _wrong("page_size", "must not be negative")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def token_of(last: str) -> str:
    """Return the token of the page behind an item."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def last_of(token: str) -> str:
    """Return the item that a page comes behind, empty for the first page. Raises InvalidArgument."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise _wrong("page_token", "is not a token of an earlier page") from None


def number_of(token: str) -> int | None:
    """Return the number that a page comes behind, None for the first page. Raises InvalidArgument."""
    last = last_of(token)
    if not last:
        return None
    if not (last.isascii() and last.isdigit() and len(last) < 19):
        raise _wrong("page_token", "is not a token of an earlier page")
    return int(last)


def _wrong(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)])
