"""Pages: they join to the whole, show only what a caller may see, and end where their message would be too large."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from headrace_registry.catalog.pages import MAX_PAGE_BYTES, MAX_PAGE_SIZE, Page, PageRequest, fit
from headrace_registry.catalog.reads import Catalog, page_size
from headrace_registry.decisions import model_lists
from headrace_registry.decisions.model_lists import ModelQuery
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.registry.memory_store import MemoryStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def catalog_of(*names: str) -> Catalog:
    store = MemoryStore()
    for name in names:
        async with store.transaction() as transaction:
            await transaction.save(replace(await transaction.open_model(name, NOW), epoch=1), [])
    return Catalog(store, SystemClock())


async def names_of(catalog: Catalog, size: int, sees=lambda _: True) -> list[str]:
    found, token = [], ""
    while True:
        page = await catalog.models(PageRequest(size, token), sees)
        assert len(page.items) <= size
        found += [model.name for model in page.items]
        if not page.more:
            return found
        token = page.tokens[-1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_join_to_the_whole(size):
    names = [f"m{number}" for number in range(7)]
    assert await names_of(await catalog_of(*names), size) == names


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_pages_hold_only_what_the_caller_may_see(size):
    catalog = await catalog_of("a1", "a2", "b1", "a3", "b2")
    assert await names_of(catalog, size, lambda name: name.startswith("b")) == ["b1", "b2"]
    assert await names_of(catalog, size, lambda _: False) == []


async def test_the_latest_come_first_and_a_token_is_of_one_query_alone():
    catalog, page = await catalog_of("a", "b", "c"), PageRequest(2)
    latest = await catalog.models(page, lambda _: True, ModelQuery(latest_first=True))
    assert [model.name for model in latest.items] == ["c", "b"]
    rest = await catalog.models(PageRequest(2, latest.tokens[-1]), lambda _: True, ModelQuery(latest_first=True))
    assert [model.name for model in rest.items] == ["a"]
    with pytest.raises(InvalidArgument):
        await catalog.models(PageRequest(2, latest.tokens[-1]), lambda _: True)


@given(micros=st.integers(0, 2**63 - 1), name=st.text(max_size=5))
def test_a_token_that_somebody_made_up_is_a_place_all_the_same(micros: int, name: str):
    assert model_lists.place_at([micros, name])[1] == name


def test_page_sizes():
    assert page_size(PageRequest(0)) == 50
    assert page_size(PageRequest(7)) == 7
    assert page_size(PageRequest(10**6)) == MAX_PAGE_SIZE
    with pytest.raises(InvalidArgument):
        page_size(PageRequest(-1))


@dataclass(frozen=True)
class Sized:
    size: int

    def ByteSize(self) -> int:
        return self.size


@pytest.mark.parametrize(
    ("sizes", "more", "kept", "token"),
    [
        pytest.param([], False, 0, "", id="nothing"),
        pytest.param([1, 1], False, 2, "", id="the last page"),
        pytest.param([1, 1], True, 2, "t1", id="a page before others"),
        pytest.param([MAX_PAGE_BYTES, 1], False, 1, "t0", id="what does not fit comes on the next page"),
        pytest.param([2 * MAX_PAGE_BYTES, 1], False, 1, "t0", id="one item always fits"),
    ],
)
def test_a_page_ends_where_its_message_would_be_too_large(sizes, more, kept, token):
    page = Page(tuple(map(Sized, sizes)), tuple(f"t{number}" for number in range(len(sizes))), more)
    messages, next_token = fit(page, lambda item: item)
    assert (len(messages), next_token) == (kept, token)
