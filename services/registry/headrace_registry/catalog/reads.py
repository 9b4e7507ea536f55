"""Reading what is registered, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TypeVar

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.feeds import BATCH, ChangeFeed
from headrace_servicekit.identity import model_not_found
from headrace_servicekit.resource_names import invalid

from headrace_registry.catalog.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Page, PageRequest
from headrace_registry.catalog.writes import version_not_found
from headrace_registry.decisions import approvals, model_lists, tokens
from headrace_registry.decisions.approvals import PromotionRequest, RequestState
from headrace_registry.decisions.model_lists import EVERY_MODEL, ModelQuery
from headrace_registry.decisions.models import Event, Hold, Measurement, Model, ModelState, Stage, Version, VersionRef
from headrace_registry.decisions.past import Past, past
from headrace_registry.storage.store import Store

T = TypeVar("T")


class Catalog:
    """Reads over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def model(self, name: str) -> Model:
        """Return a model. Raises NotFound."""
        model = await self._store.model(name)
        if model is None:
            raise model_not_found(name)
        return model

    async def version(self, ref: VersionRef) -> Version:
        """Return a version. Raises NotFound for the model or the version."""
        version = await self._store.version(ref)
        if version is None:
            await self.model(ref.model)
            raise version_not_found(ref)
        return version

    async def models(
        self, request: PageRequest, sees: Callable[[str], bool], query: ModelQuery = EVERY_MODEL
    ) -> Page[Model]:
        """Return a page of the models whose names `sees` accepts."""
        size = page_size(request)
        cursor = tokens.page_cursor(request.token, query.words, [int, str], "page_token")
        after = None if cursor is None else model_lists.place_at(cursor)
        # Who sees every model is answered by one read, of no more than the answer has.
        found, limit = list[Model](), size + 1
        while len(found) <= size:
            models = await self._store.models(query, after=after, limit=limit)
            found += [model for model in models if sees(model.name)]
            if len(models) < limit:
                break
            after, limit = model_lists.place_of(models[-1]), MAX_PAGE_SIZE
        return _page(found, size, lambda model: tokens.page_token(query.words, model_lists.cursor_of(model)))

    async def versions(self, model: str, stage: Stage | None, request: PageRequest) -> Page[Version]:
        """Return a page of a model's versions, newest first. Raises NotFound."""
        query, size = ["versions", model, stage or ""], page_size(request)
        cursor = tokens.page_cursor(request.token, query, [int], "page_token")
        before = None if cursor is None else cursor[0]
        found = await self._store.versions(model, before=before, limit=size + 1, stage=stage)
        if not found:
            await self.model(model)
        return _page(found, size, lambda version: tokens.page_token(query, [version.epoch]))

    async def events(self, model: str, request: PageRequest) -> Page[Event]:
        """Return a page of a model's history, newest first. Raises NotFound."""
        query, size = ["events", model], page_size(request)
        cursor = tokens.page_cursor(request.token, query, [int, int], "page_token")
        before = None if cursor is None or cursor[1] > _MAX_ORDINAL else (cursor[0], cursor[1])
        found = await self._store.events(model, before=before, limit=size + 1)
        if not found:
            await self.model(model)
        return _page(found, size, lambda event: tokens.page_token(query, [event.epoch, event.ordinal]))

    async def holds(self, model: str, request: PageRequest) -> Page[Hold]:
        """Return a page of the holds on a model's versions that have not expired. Raises NotFound."""
        query, size = ["holds", model], page_size(request)
        cursor = tokens.page_cursor(request.token, query, [str, str], "page_token")
        after = ("", "") if cursor is None else (cursor[0], cursor[1])
        found = await self._store.holds(model, self._clock.now(), after=after, limit=size + 1)
        if not found:
            await self.model(model)
        return _page(found, size, lambda hold: tokens.page_token(query, [hold.ref.version, hold.holder]))

    async def promotion_requests(
        self, model: str, state: RequestState | None, request: PageRequest, sees: Callable[[str], bool]
    ) -> Page[PromotionRequest]:
        """Return a page of the requests of one model or all that `sees` accepts, by model, the latest first."""
        query, size = ["promotion requests", model, state or ""], page_size(request)
        cursor = tokens.page_cursor(request.token, query, [str, int], "page_token")
        after = ("", 0) if cursor is None else (cursor[0], cursor[1])
        async with self._store.transaction() as transaction:
            now = await transaction.now()
        if model:
            await self.model(model)
        found: list[PromotionRequest] = []
        while len(found) <= size:
            requests = await self._store.promotion_requests(model, state, after=after, limit=MAX_PAGE_SIZE)
            current = [approvals.as_of(one, now) for one in requests if sees(one.ref.model)]
            found += [one for one in current if state is None or one.state is state]
            if len(requests) < MAX_PAGE_SIZE:
                break
            after = (requests[-1].ref.model, requests[-1].number)
        return _page(found, size, lambda one: tokens.page_token(query, [one.ref.model, one.number]))

    async def measurements(self, ref: VersionRef, request: PageRequest) -> Page[Measurement]:
        """Return a page of what was measured on a version, newest first. Raises NotFound."""
        query, size = ["measurements", ref.model, ref.version], page_size(request)
        cursor = tokens.page_cursor(request.token, query, [int], "page_token")
        before = None if cursor is None else cursor[0]
        found = await self._store.measurements(ref, before=before, limit=size + 1)
        if not found:
            await self.version(ref)
        return _page(found, size, lambda measurement: tokens.page_token(query, [measurement.number]))

    async def as_of(self, model: str, time: datetime) -> Past:
        """Return what stood at a past time. Raises InvalidArgument for the future, NotFound."""
        # A writer with the model's lock may be about to commit a change with a time before `time`, which the answer
        # must include. Later writers take a later time, by the same clock.
        async with self._store.transaction() as transaction:
            await transaction.lock_model(model)
            now = await transaction.now()
        if time >= now:
            raise invalid("time", f"{time:%Y-%m-%d %H:%M:%S} UTC has not passed yet; it is {now:%Y-%m-%d %H:%M:%S} UTC")
        found = past(await self._store.last_words(model, time))
        if found is None:
            raise model_not_found(model)
        return found


_MAX_ORDINAL = 2**31 - 1


def page_size(request: PageRequest) -> int:
    """Return how many items to return at most; more than the maximum means the maximum. Raises InvalidArgument."""
    if request.size < 0:
        raise invalid("page_size", f"{request.size} is negative; 0 means {DEFAULT_PAGE_SIZE}")
    return min(request.size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def _page(found: list[T], size: int, token_of: Callable[[T], str]) -> Page[T]:
    items = tuple(found[:size])
    return Page(items, tuple(token_of(item) for item in items), more=len(found) > size)


def feed_of(store: Store, clock: Clock, *, max_watches: int) -> ChangeFeed[ModelState]:
    """Return the feed of every model's states."""
    return ChangeFeed(store, lambda: _snapshot(store), clock, owner="registry", max_watches=max_watches)


async def _snapshot(store: Store) -> AsyncIterator[ModelState]:
    after = ""
    while states := await store.states(after=after, limit=BATCH):
        after = states[-1].model.name
        for state in states:
            yield state
