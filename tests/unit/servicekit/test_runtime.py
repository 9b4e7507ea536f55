"""What a service does when it stops."""

import asyncio

import pytest
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import periodic
from headrace_servicekit.runtime import Runtime, StartError
from headrace_servicekit.settings import ServiceSettings, settings_config
from headrace_servicekit.testing import running


class Settings(ServiceSettings):
    """Nothing but what every service has."""

    model_config = settings_config("RUNTIME_TEST_")


@pytest.mark.parametrize("polled", [False, True], ids=["a periodic step", "a health check"])
async def test_a_step_whose_driver_swallows_a_cancellation_does_not_hold_up_the_stop(polled):
    steps, began = 0, asyncio.Event()

    async def swallows() -> None:
        nonlocal steps
        steps += 1
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    async def start(runtime: Runtime[Settings]) -> None:
        if polled:
            runtime.check("swallows", swallows, required=False)
        else:
            runtime.loop("swallows", lambda: periodic("swallows", swallows, every_s=0.01))

    async with asyncio.timeout(10), running("test", Settings(drain_notice_s=0.0, port=0, metrics_port=0), start):
        await began.wait()
    assert steps == 1


async def test_a_loop_may_take_its_time_to_tidy_up():
    began, tidied = asyncio.Event(), False

    async def tidies_up() -> None:
        nonlocal tidied
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1.0)
            tidied = True

    async def start(runtime: Runtime[Settings]) -> None:
        runtime.loop("tidies", tidies_up)

    async with asyncio.timeout(10), running("test", Settings(drain_notice_s=0.0, port=0, metrics_port=0), start):
        await began.wait()
    assert tidied


class LateStore:
    """A store that is reached at the third try."""

    def __init__(self) -> None:
        self.tries = 0

    async def migrate(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise Unavailable("the database cannot be reached", reason="STORE_UNAVAILABLE")


class RefusingStore:
    """A store that newer code has migrated."""

    async def migrate(self) -> None:
        raise StartError("the database is newer than this code")


async def test_a_store_is_migrated_as_soon_as_it_is_there():
    store, there = LateStore(), asyncio.Event()

    async def start(runtime: Runtime[Settings]) -> None:
        nonlocal there
        runtime.health.add("tables", required=False)
        there = runtime.migrated(store, component="tables")

    async with asyncio.timeout(10), running("test", Settings(drain_notice_s=0.0, port=0, metrics_port=0), start):
        await there.wait()
    assert store.tries == 3


async def test_a_store_that_this_code_cannot_work_with_ends_the_service():
    async def start(runtime: Runtime[Settings]) -> None:
        runtime.migrated(RefusingStore())

    with pytest.raises(StartError, match="newer than this code"):
        async with asyncio.timeout(10):
            await Runtime("test", Settings(drain_notice_s=0.0, port=0, metrics_port=0)).serve(start)
