"""Pages of a route's history, whose changes may each hold a megabyte."""

from datetime import UTC, datetime
from uuid import UUID

from headrace.router.v1 import route_pb2
from headrace_router.control.decisions.fallback_steps import Constant, FallbackStep
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.routes import Route, implicit
from headrace_router.control.decisions.states import Change, Kind, Table
from headrace_router.control.messages.pages import MAX_PAGE_BYTES
from headrace_router.control.routes.servicer import EVENTS_AT_ONCE, RouteServicer
from headrace_router.control.storage.store import ChangeRecord
from headrace_servicekit.testing import FakeClock

from tests.kit.router.control_planes import MODEL, STORED, VERSIONS, ControlPlane
from tests.kit.router.memory_store import MemoryStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class History:
    """Changes of a model, the newest with the highest number; notes how many were asked for at once."""

    def __init__(self, changes: int, size_bytes: int) -> None:
        row = route_pb2.FallbackStep.Row()
        row.outputs["y"].strings.append("x" * size_bytes)
        step = FallbackStep("constant", Constant(row.SerializeToString()))
        route = Route(MODEL, implicit(MODEL).variants, fallback=(step,) if size_bytes else ())
        change = Change(UUID(int=1), Kind.WRITE, route, Table((), ()), 1, NOW, 0.0)
        self._records = [ChangeRecord(change, MODEL, number=number) for number in range(changes, 0, -1)]
        self.most_at_once = 0

    async def changes(self, model: str, limit: int, before: int | None = None) -> tuple[ChangeRecord, ...]:
        found = [one for one in self._records if before is None or one.number < before][:limit]
        self.most_at_once = max(self.most_at_once, len(found))
        return tuple(found)


async def pages(history: History, page_size: int) -> list[int]:
    """Return how many changes each page has."""
    clock = FakeClock()
    plane = ControlPlane(MemoryStore(clock), clock)
    plane.news.seen(Registered(MODEL, "one", 1, "v1", {}, VERSIONS), STORED)
    await plane.controller.turn()
    servicer = RouteServicer(plane.view, None, None, None, None, history, plane.catch_up)  # type: ignore[arg-type]
    request, found = route_pb2.ListRouteEventsRequest(parent=f"routes/{MODEL}", page_size=page_size), []
    while True:
        page = await servicer.ListRouteEvents(request, None)
        found.append(len(page.events))
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_page_of_large_changes_ends_early_and_is_never_read_whole():
    history = History(40, MAX_PAGE_BYTES // 4)
    assert await pages(history, 1000) == [3] * 13 + [1]
    assert history.most_at_once <= EVENTS_AT_ONCE


async def test_pages_of_small_changes_have_the_size_that_was_asked_for():
    assert await pages(History(100, 0), 40) == [40, 40, 20]
    assert await pages(History(EVENTS_AT_ONCE, 0), EVENTS_AT_ONCE) == [EVENTS_AT_ONCE]
    assert await pages(History(0, 0), 10) == [0]
