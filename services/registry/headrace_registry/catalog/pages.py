"""Pages of a list: what is asked for, what is given, and where one is cut so that its message is not too large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
# Well below what clients and the front door's transcoder take.
MAX_PAGE_BYTES = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PageRequest:
    """size: 0 means the default. token: from the page before, empty for the first."""

    size: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and, for each, the token that continues after it: a caller may keep fewer than it was given.

    more: whether anything comes after the last item.
    """

    items: tuple[T, ...]
    tokens: tuple[str, ...]
    more: bool


def fit(page: Page[T], convert: Callable[[T], Any]) -> tuple[list[Any], str]:
    """Return the messages of a page, at least one and then as many as fit, and the token of what comes after them."""
    messages: list[Any] = []
    total = 0
    for index, item in enumerate(page.items):
        message = convert(item)
        total += message.ByteSize()
        if messages and total > MAX_PAGE_BYTES:
            return messages, page.tokens[index - 1]
        messages.append(message)
    return messages, page.tokens[-1] if page.more and page.tokens else ""
