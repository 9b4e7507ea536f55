"""What an actuator is: it keeps each pool at a number of replicas, and says at which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol


class ActuatorError(Exception):
    """The actuator refused, or could not be asked; the message says why, for people."""


class Actuator(Protocol):
    """Changes the number of replicas. Asking again for the same is safe: what counts is the number, not the request.

    name: as settings have it. acts: False for one that only recommends.
    """

    name: str
    acts: bool

    async def targets(self, pools: Collection[str]) -> Mapping[str, int | ActuatorError]:
        """Return at how many replicas it keeps each of the pools, or why it cannot say that of one.

        A pool that it does not know is left out. Raises ActuatorError when it cannot say it of any.
        """
        ...

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        """Set the replica count of a pool; return once it is acknowledged, which may be before replicas are ready.

        first: addresses of batchers in the order of removal, if the actuator can choose. A replica is drained before it
        ends. Raises ActuatorError; the count may have changed then.
        """
        ...


class RecommendActuator:
    """Acts on nothing."""

    name = "recommend"
    acts = False

    async def targets(self, pools: Collection[str]) -> Mapping[str, int]:
        return {}

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        raise AssertionError("a recommendation is not acted on")
