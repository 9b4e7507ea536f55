"""Cutting a page where its message would become too large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from headrace_registry.catalog import Page

T = TypeVar("T")

# Well below what clients and the front door's transcoder take.
MAX_PAGE_BYTES = 3 * 1024 * 1024


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
