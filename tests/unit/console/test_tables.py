"""Tables are sorted and paged by their address."""

import pytest
from headrace_console.pages.tables import ROWS, listed
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = {"number": lambda number: number, "last digit": lambda number: number % 10}


def page(rows: list[int], **query: str):
    return listed(rows, COLUMNS, query, "/console/", sort="number")


def test_the_address_says_which_page_and_by_which_column():
    table = page(list(range(60)), sort="-number", page="2")
    assert list(table.rows) == list(range(34, 9, -1))
    assert (table.pages, table.total) == (3, 60)
    assert table.by("number") == "/console/?sort=number&page=1"
    assert table.order("number") == "descending"
    assert table.order("last digit") == "none"


@pytest.mark.parametrize("query", [{"page": "0"}, {"page": "-1"}, {"page": "x"}, {"page": "²"}, {"sort": "__class__"}])
def test_what_cannot_be_counts_for_nothing(query: dict[str, str]):
    assert list(page(list(range(60)), **query).rows) == list(range(ROWS))


@given(rows=st.lists(st.integers()), number=st.text(max_size=8), sort=st.text(max_size=8))
def test_every_page_has_some_of_the_rows_and_no_more(rows: list[int], number: str, sort: str):
    table = page(rows, page=number, sort=sort)
    assert set(table.rows) <= set(rows)
    assert len(table.rows) <= ROWS
    assert 1 <= table.page <= table.pages
