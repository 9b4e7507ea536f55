"""Actuator calls: one per pool at a time, outside the decision rounds, so that a slow call delays no other pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from headrace_servicekit.errors import ServiceError

from headrace_autoscaler.actuators.actuator import Actuator, ActuatorError
from headrace_autoscaler.decisions.actuation import Ask

log = structlog.get_logger()

# Called with the pool and the error of its call; None if the actuator acknowledged it.
Settle = Callable[[str, str | None], object]


class Calls:
    """Calls in flight, by pool. within_s: timeout of a call; settle: called in the event loop with each result."""

    def __init__(self, actuator: Actuator, settle: Settle, *, within_s: float) -> None:
        self._actuator, self._settle, self._within_s = actuator, settle, within_s
        self._going: dict[str, asyncio.Task[None]] = {}

    def in_flight(self, pool: str) -> bool:
        """Return whether the actuator is being asked for a pool."""
        return pool in self._going

    def begin(self, pool: str, ask: Ask, first: Sequence[str]) -> None:
        """Start a call. first: addresses of the replicas to remove first."""
        task = asyncio.create_task(self._run(pool, ask, first), name=f"scale {pool}")
        self._going[pool] = task
        task.add_done_callback(lambda _: self._going.pop(pool, None))

    async def end(self) -> None:
        """Cancel the calls in flight. Their results are unknown; the next leader repeats them."""
        going = list(self._going.values())
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def _run(self, pool: str, ask: Ask, first: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                if ask.late is not None:
                    await self._actuator.scale(pool, max(0, ask.target - 1), [ask.late, *first])
                await self._actuator.scale(pool, ask.target, first)
            problem = None
        except TimeoutError:
            problem = f"the actuator did not answer within {self._within_s:g} s"
        except ActuatorError as error:
            problem = str(error)
        except (ServiceError, OSError) as error:
            problem = f"the actuator cannot be asked: {error}"
        if problem is not None:
            log.warning("not scaled", pool=pool, target=ask.target, actuator=self._actuator.name, reason=problem)
        else:
            log.info("scaled", pool=pool, target=ask.target, actuator=self._actuator.name)
        self._settle(pool, problem)
