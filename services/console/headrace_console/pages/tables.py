"""Sorting and paging of what a page lists, on the server: the address says which part is shown."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

ROWS = 25


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page of rows. sort: by which column, with a `-` before it the other way round. page: from 1."""

    rows: Sequence[T]
    total: int
    page: int
    pages: int
    sort: str
    path: str
    query: Mapping[str, str]

    def at(self, **changed: object) -> str:
        """Return the address of the same table with something changed."""
        return _address(self.path, self.query, changed)

    def by(self, column: str) -> str:
        """Return the address that sorts by a column, or the other way round when it already does."""
        return self.at(sort=f"-{column}" if self.sort == column else column, page=1)

    def order(self, column: str) -> str:
        """Return how a screen reader tells the order of a column."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "none")


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """A page of rows that the API keeps in order. token: of the page that follows; empty at the end.

    sort: as in Listed. first: whether nothing comes before it.
    """

    rows: Sequence[T]
    token: str
    sort: str
    first: bool
    path: str
    query: Mapping[str, str]

    def at(self, **changed: object) -> str:
        """Return the address of the same table with something changed."""
        return _address(self.path, self.query, changed)

    def by(self, column: str) -> str:
        """Return the address that sorts by a column, from its begin."""
        return self.at(sort=column, after="")

    def order(self, column: str) -> str:
        """Return how a screen reader tells the order of a column."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "none")


def _address(path: str, query: Mapping[str, str], changed: Mapping[str, object]) -> str:
    wanted = {**{name: value for name, value in query.items() if name != "done"}, **changed}
    return f"{path}?{urllib.parse.urlencode({name: str(value) for name, value in wanted.items() if value != ''})}"


def listed(
    rows: Sequence[T],
    columns: Mapping[str, Callable[[T], Any]],
    query: Mapping[str, str],
    path: str,
    *,
    sort: str,
) -> Listed[T]:
    """Return the page of a table that an address asks for. columns: what each is sorted by. sort: when it says nothing.

    What an address says that cannot be counts for nothing.
    """
    asked = query.get("sort", sort)
    key = columns.get(asked.removeprefix("-"))
    if key is None:
        asked, key = sort, columns[sort.removeprefix("-")]
    ordered = sorted(rows, key=key, reverse=asked.startswith("-"))
    pages = max(1, -(-len(ordered) // ROWS))
    page = min(max(1, _whole(query.get("page", "1"))), pages)
    shown = ordered[(page - 1) * ROWS : page * ROWS]
    return Listed(shown, len(ordered), page, pages, asked, path, query)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 1
