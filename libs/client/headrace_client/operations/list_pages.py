"""All pages of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast

from google.protobuf.message import Message

from headrace_client.calls import Operation, Session, invoke

_PAGE_SIZE = 200


class _Paged(Protocol):
    page_size: int
    page_token: str


Item = TypeVar("Item")


def list_all(
    session: Session,
    answer: type[Message],
    request: Message,
    items: str,
    *,
    timeout_s: float,
    limit: int | None = None,
) -> Operation[list[Any]]:
    """Return the `items` field of every page, at most `limit` of them; the timeout is for each page."""
    paged, found = cast("_Paged", request), []
    while limit is None or len(found) < limit:
        paged.page_size = _PAGE_SIZE if limit is None else min(_PAGE_SIZE, limit - len(found))
        page: Any = yield from invoke(session, answer, request, timeout_s=timeout_s)
        found += cast("Sequence[Any]", getattr(page, items))
        if not page.next_page_token:
            break
        paged.page_token = page.next_page_token
    return found
