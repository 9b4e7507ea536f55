"""One of several replicas works at a time: whoever holds a lock in the database."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.loops import delay_s

from headrace_monitor.storage.schema import Database

log = structlog.get_logger()

LOOK_EVERY_S = 2.0
MAX_BACKOFF_S = 30.0


async def lead(
    name: str, database: Database, lock: int, step: Callable[[], Awaitable[bool]], *, every_s: float, clock: Clock
) -> None:
    """Run `step` again and again while this process holds the lock; wait for it while another one does. For ever.

    step: returns whether there is more to do at once. The lock saves work, it protects nothing: a replica that lost its
    connection may still be in a step, so what a step writes is conditional.
    """
    await database.there.wait()
    failures = 0
    while True:
        try:
            async with database.alone() as connection:
                while not await connection.fetchval("select pg_try_advisory_lock($1)", lock):
                    await clock.sleep(LOOK_EVERY_S)
                log.info("leading", work=name)
                while True:
                    await connection.fetchval("select 1")  # the lock went with the connection
                    more = await step()
                    failures = 0
                    if not more:
                        await clock.sleep(every_s)
        except Unavailable as error:
            failures += 1
            log.log(30 if failures == 1 else 10, "work is late", work=name, reason=str(error))
        except Exception:
            failures += 1
            log.warning("work failed", work=name, failures=failures, exc_info=failures == 1)
        pause = delay_s(failures, every_s=every_s, max_backoff_s=MAX_BACKOFF_S, jitter=0.2, draw=random.random())
        await clock.sleep(pause)
