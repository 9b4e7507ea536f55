"""One key on its way to an answer, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import replace

from headrace_servicekit.errors import ServiceError

from headrace_router.data.batchers.work import ONLINE, Work
from headrace_router.data.lookup.freshness import Kept
from headrace_router.data.lookup.sought import Sought
from headrace_router.data.question import Found

# A stale answer is to reach its caller before the deadline: so much of the time left is kept, and at most this.
STALE_SHARE, STALE_S = 0.2, 0.01


class Waiter:
    """One request that waits. due: when it is given what there is. outcome: why nothing kept could be given."""

    __slots__ = ("answer", "deadline", "due", "flight", "outcome", "sought", "tick")

    def __init__(self, flight: Flight, answer: asyncio.Future[Found], sought: Sought, deadline: float) -> None:
        self.flight, self.answer, self.sought = flight, answer, sought
        self.deadline = self.due = deadline
        self.outcome = sought.unkeyed
        self.tick = 0

    def settle(self, outcome: Found | ServiceError) -> None:
        """Give the request its answer or error, unless its caller has left."""
        self.flight.waiters.pop(self, None)
        if self.answer.done():
            return
        if isinstance(outcome, Found):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)

    def look_ended(self) -> None:
        """Note that no kept answer can be given, where somebody wants to know."""
        marks = self.sought.question.call.marks
        if marks is not None:
            marks.look_ended()

    def look_again(self) -> None:
        """Note that a kept answer may be given after all, unless a batcher was asked for another answer before."""
        marks = self.sought.question.call.marks
        if marks is not None and not self.sought.question.again:
            marks.look_again()

    def allow_for_stale(self, now: float) -> None:
        """Be due a little before the deadline when there is a stale answer to give then."""
        if self.stale_on_error(now) is not None:
            self.due = self.deadline - min(STALE_S, STALE_SHARE * max(0.0, self.deadline - now))

    def stale_on_error(self, now: float) -> Kept | None:
        """Return the answer past its time that the request may be given in place of an error."""
        stale = self.flight.stale(now)
        return stale if stale is not None and stale.age_s <= self.sought.bound.on_error else None


class Flight:
    """key: under which others find it; None for one that nobody may share. sought: of who began it.

    leader: whose question is executed. work: the execution. renews: whether it goes on when nobody waits. reading:
    whether the store has not told yet. failed: an execution that came to an error before it did.
    """

    __slots__ = (
        "_stale", "_stale_since", "failed", "key", "leader", "reading", "renews", "sought", "waiters", "work",
    )  # fmt: skip

    def __init__(self, sought: Sought) -> None:
        self.key, self.sought = key_of(sought), sought
        self.waiters: dict[Waiter, None] = {}
        self.leader: Waiter | None = None
        self.work: Work | None = None
        self.failed: tuple[Work, ServiceError] | None = None
        self.reading = self.renews = False
        self._stale: Kept | None = None
        self._stale_since = 0.0

    @property
    def wanted(self) -> bool:
        """Return whether anybody wants the answer."""
        return bool(self.waiters) or self.renews

    @property
    def asked(self) -> bool:
        """Return whether batchers were asked, and have not answered."""
        return self.work is not None or self.failed is not None

    @property
    def aged(self) -> bool:
        """Return whether a cached answer is known that was too old for somebody."""
        return self._stale is not None

    def know(self, cached: Kept | None, now: float) -> None:
        """Note a cached answer, which may have to do."""
        if cached is not None:
            self._stale, self._stale_since = cached, now

    def stale(self, now: float) -> Kept | None:
        """Return the cached answer that is known, at its present age."""
        stale = self._stale
        return None if stale is None else replace(stale, age_s=stale.age_s + now - self._stale_since)


def key_of(sought: Sought) -> Hashable:
    """Return what requests that share an execution have in common; None for one that shares with nobody."""
    if sought.key is None:
        return None
    return (sought.key, sought.precomputed, sought.arm.pool, sought.question.request.priority > ONLINE)
