"""What a service does when it stops."""

import asyncio

from headrace_servicekit.runtime import Runtime
from headrace_servicekit.settings import ServiceSettings, settings_config
from headrace_servicekit.testing import running


class Settings(ServiceSettings):
    """Nothing but what every service has."""

    model_config = settings_config("RUNTIME_TEST_")


async def test_a_loop_whose_driver_swallows_a_cancellation_does_not_hold_up_the_stop():
    cancelled = 0

    async def swallows_one() -> None:
        nonlocal cancelled
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                if cancelled > 1:
                    raise

    async def start(runtime: Runtime[Settings]) -> None:
        runtime.loop("swallows", swallows_one)

    async with asyncio.timeout(30), running("test", Settings(drain_notice_s=0.0, port=0, metrics_port=0), start):
        pass
    assert cancelled == 2
