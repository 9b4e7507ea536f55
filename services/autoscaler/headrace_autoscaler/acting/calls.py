"""Asking the actuator, one call for each pool at a time, beside the rounds: a slow one makes no other pool wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from headrace_servicekit.errors import ServiceError

from headrace_autoscaler.actuators.actuator import Actuator, ActuatorError
from headrace_autoscaler.decisions.actuation import Ask

log = structlog.get_logger()

# None when it acknowledged, else why it did not.
Settle = Callable[[str, str | None], object]


class Calls:
    """Calls in flight, by pool. within_s: how long one may take; settle: told what came of each, in the event loop."""

    def __init__(self, actuator: Actuator, settle: Settle, *, within_s: float) -> None:
        self._actuator, self._settle, self._within_s = actuator, settle, within_s
        self._going: dict[str, asyncio.Task[None]] = {}

    def in_flight(self, pool: str) -> bool:
        """Return whether the actuator is being asked for a pool."""
        return pool in self._going

    def begin(self, pool: str, ask: Ask, first: Sequence[str]) -> None:
        """Ask, and settle when that is answered. first: who should go first."""
        task = asyncio.create_task(self._run(pool, ask, first), name=f"scale {pool}")
        self._going[pool] = task
        task.add_done_callback(lambda _: self._going.pop(pool, None))

    async def end(self) -> None:
        """Give up what is in flight: nobody knows what came of it, and the next leader asks again."""
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
