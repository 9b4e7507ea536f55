"""Who is held to how many requests a second, and what holds where nobody can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from headrace.router.v1 import client_limits_pb2
from headrace_router.data.rate_limits import limiter, token_requests
from headrace_router.data.rate_limits.decisions.bucket import Rate
from headrace_router.data.rate_limits.decisions.limits import RateLimits, rate_limits
from headrace_router.data.rate_limits.decisions.share import KEEP_S
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.outage import Outage
from headrace_servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.kit.router.rate_limits import SharedBuckets, limit
from tests.kit.router.virtual_time import virtual_loop


class Limited:
    """A data plane under limits, before shared buckets. now_s: of the loop."""

    def __init__(self, *limits, shared: bool = True, processes: int = 1) -> None:
        self.loop = asyncio.get_running_loop()
        self.buckets = SharedBuckets(self.loop)
        self.limiter = RateLimiter(self.buckets if shared else None, lambda: "i", processes=processes, loop=self.loop)
        self.limiter.enforce(RateLimits(limits))

    async def ask(self, client: str = "ada", model: str = "m") -> ServiceError | None:
        """Return why a request is refused."""
        try:
            waits = self.limiter.take(client, model)
            if waits is not None:
                await waits
        except ServiceError as error:
            return error
        return None

    async def asks(self, count: int, client: str = "ada", model: str = "m") -> list[str]:
        """Return what comes of so many at once: an empty reason for what comes through."""
        found = await asyncio.gather(*(self.ask(client, model) for _ in range(count)))
        return ["" if error is None else error.reason for error in found]

    def metric(self, name: str, **labels: str) -> float | None:
        registry = CollectorRegistry()
        registry.register(self.limiter)
        return registry.get_sample_value(name, labels)


def on_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        with asyncio.Runner(loop_factory=virtual_loop) as runner:
            runner.run(test())

    run.__name__ = test.__name__
    return run


@on_virtual_time
async def test_what_is_beyond_it_is_refused_with_the_time_until_the_next_one_may_come():
    plane = Limited(limit(2.0, burst=3))
    assert (await plane.asks(5)).count("") == 3
    error = await plane.ask()
    assert isinstance(error, ResourceExhausted)
    assert error.reason == "RATE_LIMITED"
    assert error.metadata == {"rate_limit": "l"}
    assert error.retry_after_s == pytest.approx(0.5, abs=0.01)
    await asyncio.sleep(error.retry_after_s or 0.0)
    assert await plane.asks(2) == ["", "RATE_LIMITED"]


@on_virtual_time
async def test_what_a_bucket_does_not_have_is_refused_without_asking_again_and_again():
    plane = Limited(limit(1.0, burst=1))
    await plane.asks(500)
    await plane.asks(500)
    assert plane.buckets.commands == 1
    assert plane.metric("headrace_router_rate_limited_total", rate_limit="l", shadow_mode="false") == 999


@on_virtual_time
async def test_a_limit_that_is_only_tried_refuses_nothing_and_counts_the_same():
    plane = Limited(limit(1.0, burst=3, shadow_mode=True, outage=Outage.CLOSED))
    assert await plane.asks(10) == [""] * 10
    assert plane.metric("headrace_router_rate_limited_total", rate_limit="l", shadow_mode="true") == 7
    plane.buckets.up = False
    await asyncio.sleep(5.0)
    assert await plane.asks(1) == [""]


@on_virtual_time
async def test_a_request_needs_a_token_of_each_of_its_limits_and_one_that_is_refused_spends_none():
    plane = Limited(limit(0.001, burst=2, name="one", model="m"), limit(0.001, burst=4, name="all"))
    assert (await plane.asks(5)).count("") == 2
    # The two that came through spent two of all together: two are left for other models.
    assert (await plane.asks(5, model="n")).count("") == 2


@on_virtual_time
async def test_each_client_without_a_limit_of_its_own_has_that_of_everybody_for_itself():
    plane = Limited(limit(0.001, burst=1, client="*", name="each"), limit(0.001, burst=3))
    assert [(await plane.asks(5, client)).count("") for client in ("ada", "bob", "eve")] == [3, 1, 1]
    assert await plane.asks(5, client="") == [""] * 5, "the installation itself is no client"


@on_virtual_time
async def test_while_there_is_no_store_each_limit_says_what_holds():
    plane = Limited(
        limit(1.0, burst=4, client="local"),
        limit(1.0, burst=4, client="open", name="o", outage=Outage.OPEN),
        limit(1.0, burst=4, client="closed", name="c", outage=Outage.CLOSED),
        processes=2,
    )
    plane.buckets.up = False
    await asyncio.sleep(10.0)
    assert (await plane.asks(6, "local")).count("") == 2, "its part of what one front door has"
    assert await plane.asks(6, "open") == [""] * 6
    error = await plane.ask("closed")
    assert isinstance(error, Unavailable)
    assert (error.reason, error.retry_after_s) == ("RATE_LIMIT_UNAVAILABLE", 1.0)
    assert plane.metric("headrace_router_rate_limit_alone_total", rate_limit="o") == 6
    plane.buckets.up = True
    assert [(await plane.asks(6, client)).count("") for client in ("open", "closed")] == [4, 4]


@on_virtual_time
async def test_a_data_plane_without_a_store_counts_alone():
    plane = Limited(limit(1.0, burst=2), shared=False)
    assert (await plane.asks(5)).count("") == 2


@on_virtual_time
async def test_a_store_that_hangs_is_waited_for_once_and_used_again_when_it_answers():
    plane = Limited(limit(1.0, burst=4, outage=Outage.OPEN))
    plane.buckets.hangs = True
    begun = plane.loop.time()
    assert await plane.asks(3) == [""] * 3
    assert plane.loop.time() - begun == pytest.approx(token_requests.WAIT_S + token_requests.LAST_LOOK_S)
    begun = plane.loop.time()
    assert await plane.asks(100) == [""] * 100
    assert plane.loop.time() == begun
    plane.buckets.answer()
    await asyncio.sleep(1.0)
    assert (await plane.asks(10)).count("") <= 4


@on_virtual_time
async def test_a_connection_that_is_lost_leaves_nobody_waiting():
    plane = Limited(limit(1.0, burst=4, outage=Outage.CLOSED))
    plane.buckets.hangs = True
    asked = asyncio.gather(*(plane.ask() for _ in range(3)))
    await asyncio.sleep(0.001)
    plane.buckets.lose()
    assert all(isinstance(error, Unavailable) for error in await asked)


@on_virtual_time
async def test_a_store_that_refuses_to_count_is_as_none_and_that_is_said_once():
    plane = Limited(limit(1.0, burst=1, outage=Outage.OPEN))
    plane.buckets.reply = ValueError("NOPERM")
    with capture_logs() as logged:
        for _ in range(5):
            assert await plane.asks(3) == [""] * 3
        assert [one["reason"] for one in logged] == ["NOPERM"]
    plane.buckets.reply = None
    await asyncio.sleep(30.0)
    assert (await plane.asks(3)).count("") == 1


@on_virtual_time
async def test_a_caller_that_leaves_while_it_waits_takes_no_token():
    plane = Limited(limit(0.001, burst=1))
    waits: Awaitable[None] | None = plane.limiter.take("ada", "m")
    assert waits is not None
    left = asyncio.ensure_future(waits)
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(KEEP_S / 2)
    assert await plane.asks(2) == ["", "RATE_LIMITED"]


async def test_of_more_clients_than_are_remembered_none_gets_more_from_a_bucket_that_all_share(monkeypatch):
    monkeypatch.setattr(limiter, "MAX_REMEMBERED", 10)
    for shared, again in ((True, "RATE_LIMITED"), (False, "")):
        plane = Limited(limit(0.001, burst=1, client="*"), shared=shared)
        assert [await plane.asks(1, f"c{number}") for number in range(30)] == [[""]] * 30
        assert await plane.asks(1, "c0") == [again]


MESSAGE = client_limits_pb2.RateLimit(name="rateLimits/l", client="ada", model="m", requests_per_second=0.5)


def test_a_burst_that_is_not_stated_is_a_seconds_worth_and_two_at_least():
    messages = [
        MESSAGE,
        client_limits_pb2.RateLimit(name="rateLimits/k", client="bob", model="m", requests_per_second=7.5),
    ]
    assert {one.name: one.rate for one in rate_limits(messages)} == {"l": Rate(0.5, 2), "k": Rate(7.5, 8)}
    assert {one.outage for one in rate_limits(messages)} == {Outage.LOCAL}
