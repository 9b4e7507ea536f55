"""Readiness from a thread beside the event loop: it answers while the loop is held up, and says so."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import pytest
from headrace_servicekit.health import Health
from headrace_servicekit.metrics import new_registry
from headrace_servicekit.testing import eventually, free_port, patience
from headrace_servicekit.watchdog import LOOP, WatchedEndpoint
from prometheus_client import Gauge

HOST = "127.0.0.1"


@pytest.fixture
def health() -> Health:
    health = Health()
    health.open()
    return health


@pytest.fixture
async def endpoint(health: Health) -> AsyncIterator[WatchedEndpoint]:
    registry = new_registry()
    Gauge("answer", "What one asks for.", registry=registry).set(42)
    endpoint = WatchedEndpoint(registry, health)
    await endpoint.start(HOST, free_port())
    yield endpoint
    await endpoint.stop()


def ask(endpoint: WatchedEndpoint, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://{HOST}:{endpoint.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_it_answers_as_the_endpoint_on_the_loop_does(endpoint: WatchedEndpoint, health: Health):
    status, body = await asyncio.to_thread(ask, endpoint, "/metrics")
    assert status == 200
    assert "answer 42.0" in body
    assert (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 200
    health.add("tables")
    status, body = await asyncio.to_thread(ask, endpoint, "/readyz")
    assert (status, json.loads(body)["components"]["tables"]["healthy"]) == (503, False)


@pytest.mark.long
async def test_a_loop_that_is_held_up_is_not_ready_within_five_seconds_and_is_again_when_it_turns(
    endpoint: WatchedEndpoint,
):
    seen: list[tuple[float, int, str]] = []

    def watch() -> None:
        while not seen or seen[-1][1] == 200:
            seen.append((time.monotonic(), *ask(endpoint, "/readyz")))
            time.sleep(0.05)
        seen.append((time.monotonic(), *ask(endpoint, "/metrics")))

    watching = threading.Thread(target=watch)
    began = time.monotonic()
    watching.start()
    watching.join()  # this is what holds it up
    (found_at, _, body), (_, status, _) = seen[-2:]
    assert found_at - began < patience(5)
    assert "has not turned for" in json.loads(body)["components"][LOOP]["reason"]
    assert status == 503

    async def ready() -> bool:
        return (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 200

    await eventually(ready, within=5)


async def test_it_can_be_drained_from_this_machine(endpoint: WatchedEndpoint):
    assert (await asyncio.to_thread(ask, endpoint, "/drain"))[0] == 404
    assert (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 200
    assert (await asyncio.to_thread(ask, endpoint, "/drain", "POST"))[0] == 200

    async def drained() -> bool:
        return (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 503

    await eventually(drained, within=5)


async def test_a_taken_port_is_refused(endpoint: WatchedEndpoint, health: Health):
    other = WatchedEndpoint(new_registry(), health)
    with pytest.raises(OSError, match="in use"):
        await other.start(HOST, endpoint.port)
