"""Explanations on a Valkey whose connection is reset under them: each loss is the store's error, whatever is raised."""

from __future__ import annotations

import asyncio
import random

import pytest
import uvloop
from headrace_router.data.explain.store import StoreError, ValkeyStore
from headrace_servicekit.testing import eventually

from tests.kit.wire.forwarder import Forwarder

ABORTS = 60


async def _outcomes(url: str, disturb: str) -> list[BaseException | None]:
    """Write without a pause while the connection is disturbed again and again; return what each write raised."""
    found: list[BaseException | None] = []
    rng = random.Random(1)
    async with Forwarder.before(url) as forwarder:
        store = ValkeyStore(forwarder.url(url))
        ended = asyncio.Event()

        async def write() -> None:
            while not ended.is_set():
                try:
                    await store.put([(b"explained", b"x" * 50_000)], for_s=5)
                    found.append(None)
                except BaseException as error:
                    found.append(error)
                await asyncio.sleep(0)

        writing = [asyncio.create_task(write()) for _ in range(4)]
        for _ in range(ABORTS):
            await asyncio.sleep(rng.uniform(0.0, 0.02))
            getattr(forwarder, disturb)()
            if disturb == "garble":
                await asyncio.sleep(0.01)
                forwarder.mend()
        await asyncio.sleep(0.2)
        before = len(found)
        await eventually(lambda: None in found[before:])
        ended.set()
        await asyncio.wait(writing)
        await store.close()
    return found


@pytest.mark.parametrize("disturb", ["abort", "drop", "garble"])
def test_a_connection_that_breaks_under_a_write_costs_that_write_and_nothing_else(valkey_url: str, disturb: str):
    # On uvloop, as services run: it raises RuntimeError for what is written to a connection that was reset.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(asyncio.wait_for(_outcomes(valkey_url, disturb), 60))
    raised = {type(error).__name__ for error in found if error is not None}
    assert raised == {StoreError.__name__}
