"""One key on its way to an answer, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import replace

from headrace_servicekit.errors import Code, ServiceError

from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.batchers.work import ONLINE, Work
from headrace_router.data.lookup.cache_lookup import CacheLookup, StoredAnswer
from headrace_router.data.tables.table import Variant

# A stale answer is to reach its caller before the deadline: so much of the time left is kept, and at most this.
STALE_SHARE, STALE_S = 0.2, 0.01


class Waiter:
    """One request that waits. due: when it is given what there is. outcome: why no stored answer was served."""

    __slots__ = ("answer", "cache_lookup", "deadline", "due", "execution", "outcome", "tick")

    def __init__(
        self,
        execution: SharedExecution,
        answer: asyncio.Future[Answer],
        cache_lookup: CacheLookup,
        deadline: float,
    ) -> None:
        self.execution, self.answer, self.cache_lookup = execution, answer, cache_lookup
        self.deadline = self.due = deadline
        self.outcome = cache_lookup.unkeyed
        self.tick = 0

    def settle(self, outcome: Answer | ServiceError) -> None:
        """Give the request its answer or error, unless its caller has left."""
        self.execution.waiters.pop(self, None)
        if self.answer.done():
            return
        if isinstance(outcome, Answer):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome)

    def end_lookup(self) -> None:
        """Note that no stored answer can be given, where an explanation wants it."""
        marks = self.cache_lookup.resolved.call.marks
        if marks is not None:
            marks.end_lookup()

    def resume_lookup(self) -> None:
        """Note that a stored answer may be given after all, unless a batcher was asked for another answer before."""
        marks = self.cache_lookup.resolved.call.marks
        if marks is not None and not self.cache_lookup.resolved.again:
            marks.resume_lookup()

    def allow_for_stale(self, now: float) -> None:
        """Be due a little before the deadline when there is a stale answer to give then."""
        if self.stale_on_error(now) is not None:
            self.due = self.deadline - min(STALE_S, STALE_SHARE * max(0.0, self.deadline - now))

    def stale_on_error(self, now: float) -> StoredAnswer | None:
        """Return the answer past its time that the request may be given in place of an error."""
        stale = self.execution.stale(now)
        return stale if stale is not None and stale.age_s <= self.cache_lookup.bound.on_error else None


class SharedExecution:
    """key: under which others find it; None for one that is not shared. cache_lookup: of who began it.

    leader: whose request is executed. work: the execution. renews: whether it continues without waiters. reading:
    whether the store has not answered yet. failed: an execution that came to an error before it did.
    """

    __slots__ = (
        "_stale",
        "_stale_since",
        "cache_lookup",
        "failed",
        "key",
        "leader",
        "reading",
        "renews",
        "waiters",
        "work",
    )  # fmt: skip

    def __init__(self, cache_lookup: CacheLookup) -> None:
        self.key, self.cache_lookup = key_of(cache_lookup), cache_lookup
        self.waiters: dict[Waiter, None] = {}
        self.leader: Waiter | None = None
        self.work: Work | None = None
        self.failed: tuple[Work, ServiceError] | None = None
        self.reading = self.renews = False
        self._stale: StoredAnswer | None = None
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
        """Return whether a cached answer is known that was too old for one of them."""
        return self._stale is not None

    def know(self, cached: StoredAnswer | None, now: float) -> None:
        """Note a cached answer, which may have to do."""
        if cached is not None:
            self._stale, self._stale_since = cached, now

    def stale(self, now: float) -> StoredAnswer | None:
        """Return the cached answer that is known, at its present age."""
        stale = self._stale
        return None if stale is None else replace(stale, age_s=stale.age_s + now - self._stale_since)


def key_of(cache_lookup: CacheLookup) -> Hashable:
    """Return what requests that share an execution have in common; None for one that is not shared."""
    if cache_lookup.key is None:
        return None
    return (
        cache_lookup.key,
        cache_lookup.precomputed,
        cache_lookup.variant.pool,
        cache_lookup.resolved.request.priority > ONLINE,
    )


# What says nothing against the request: another answer may be given instead.
_STANDS_IN = frozenset(
    (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS)
)


def given(variant: Variant, answer: StoredAnswer, *, stale: bool = False, degraded_reason: str = "") -> Answer:
    """Return a stored answer as found."""
    source = ServedFrom.STALE if stale else ServedFrom.PRECOMPUTED if answer.precomputed else ServedFrom.CACHE
    return Answer(
        answer.outputs,
        source,
        variant.served,
        int(answer.age_s * 1000),
        answer.layer,
        degraded_reason=degraded_reason,
    )


def stands_in(error: ServiceError) -> bool:
    """Return whether an older answer is better than this error."""
    return error.code in _STANDS_IN


# As seldom must the store have something: so many of these requests ask a batcher in vain.
MOST_KNOWN = 0.05


def executes_speculatively(known_share: float, in_flight: int) -> bool:
    """Return whether nothing is lost by it: the store will hardly have the answer, and no batcher has work.

    in_flight: requests at batchers.
    """
    return known_share <= MOST_KNOWN and not in_flight
