"""Which clients have spent their budgets, as the control plane says.

Most never have: their requests pay for one look whether `over` is empty. While the control plane is away, what it said
is in force until the period of each budget ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from headrace.router.v1 import client_limits_pb2

EVERY_MODEL = ""


class Overrun(NamedTuple):
    """What becomes of a client's requests. refuses: those that would have to be computed; else they are bulk work.
    left_s: of the period."""

    refuses: bool
    left_s: float


class Budgets:
    """Who is over budget. wall: Unix time."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.over: dict[tuple[str, str], tuple[bool, float]] = {}
        """By client and model, EVERY_MODEL for all: whether it is refused, and until which Unix time."""

    def enforce(self, overruns: Iterable[client_limits_pb2.BudgetOverrun]) -> None:
        """Take these in the place of those before."""
        self.over = {
            (one.client, one.model): (
                one.action == client_limits_pb2.BudgetOverrun.ACTION_REFUSE,
                one.expire_time.ToMicroseconds() / 1e6,
            )
            for one in overruns
        }

    def overrun(self, client: str, models: Iterable[str]) -> Overrun | None:
        """Return what a client has overrun for any of some models, of several the hardest; None where it may go on."""
        now = self._wall()
        found = (self.over.get((client, model)) for model in (EVERY_MODEL, *models))
        return max((Overrun(one[0], one[1] - now) for one in found if one is not None and one[1] > now), default=None)
