"""Asks Valkey for tokens: one command for all that are wanted at a moment, one command at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any, Protocol

import structlog

from headrace_router import stored_answers
from headrace_router.data.rate_limits.decisions.limits import RateLimit
from headrace_router.data.rate_limits.decisions.share import Share

log = structlog.get_logger()

# Buckets in one command: the server serves no other command meanwhile.
MAX_BUCKETS = 256
# How long a command may take. A request waits for the one under way and the next; after one that is late none does.
WAIT_S = 0.05
# The loop's own delay is not the store's: when the time is over, what has arrived meanwhile is read first.
LAST_LOOK_S = 0.001

TAKE = resources.files("headrace_router.data.rate_limits.lua").joinpath("take.lua").read_bytes()

Command = tuple[bytes | str | int, ...]
Replies = Callable[[list[Any] | None], object]


class Buckets(Protocol):
    """Where buckets are: Valkey."""

    def ask(self, command: Command, on_replies: Replies) -> bool:
        """Send a command and have `on_replies` called later: with a list of its reply, or with None without one.

        Return False where there is no connection.
        """
        ...


class LimitedClient:
    """One client under one limit. waiting: requests without a token. asked: whether tokens are asked for."""

    __slots__ = ("asked", "client", "full_at", "limit", "share", "waiting")

    def __init__(self, limit: RateLimit, client: str, now: float) -> None:
        self.limit, self.client, self.share = limit, client, Share(limit.rate, now)
        self.waiting: deque[asyncio.Future[bool | None]] = deque()
        self.asked = False
        self.full_at = now
        """Of the bucket that this data plane has for itself while it cannot ask."""

    def serve(self, now: float) -> None:
        """Give tokens to the requests that wait, in turn."""
        while self.waiting:
            if self.waiting[0].done():  # its caller has left
                self.waiting.popleft()
            elif self.share.take(now):
                self.waiting.popleft().set_result(True)
            else:
                return

    def settle(self, available: bool | None) -> None:
        """Settle all that wait: there is no token (False), or that is unknown (None)."""
        waiting, self.waiting = self.waiting, deque()
        for one in waiting:
            if not one.done():
                one.set_result(available)


class TokenRequests:
    """Gathers what is wanted, and asks. incarnation: of the control plane's store, with which keys begin.

    asks: commands so far.
    """

    def __init__(self, buckets: Buckets, incarnation: Callable[[], str], loop: asyncio.AbstractEventLoop) -> None:
        self._buckets, self._incarnation, self._loop = buckets, incarnation, loop
        self._wanted: deque[LimitedClient] = deque()
        self._under_way: list[tuple[LimitedClient, int]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn_ends = self._refused = False
        self.late = False
        """Whether an answer is late: no request waits until it comes."""
        self.asks = 0

    def token(self, one: LimitedClient) -> asyncio.Future[bool | None]:
        """Ask for a token; the future says whether there is one, None without an answer."""
        available: asyncio.Future[bool | None] = self._loop.create_future()
        one.waiting.append(available)
        self.want(one)
        return available

    def want(self, one: LimitedClient) -> None:
        """Have tokens asked for, as many as are wanted by then."""
        if one.asked:
            return
        one.asked = True
        self._wanted.append(one)
        if self._under_way is None and not self._turn_ends:
            self._turn_ends = True
            self._loop.call_soon(self._turn_ended)

    def _turn_ended(self) -> None:
        self._turn_ends = False
        self._ask()

    def _ask(self) -> None:
        if not self._wanted or self._under_way is not None:
            return
        now, asked = self._loop.time(), list[tuple[LimitedClient, int]]()
        while self._wanted and len(asked) < MAX_BUCKETS:
            one = self._wanted.popleft()
            asked.append((one, one.share.wanted(len(one.waiting), now)))
        self._under_way = asked
        self._timer = self._loop.call_later(WAIT_S, self._timed_out)
        self.asks += 1
        incarnation = self._incarnation()
        keys = [stored_answers.rate_limit_key(incarnation, one.limit.name, one.client) for one, _ in asked]
        numbers = [repr(number) for one, tokens in asked for number in (*one.limit.rate, tokens)]
        if not self._buckets.ask(("EVAL", TAKE, len(asked), *keys, *numbers), self._replied):
            self._replied(None)

    def _replied(self, replies: list[Any] | None) -> None:
        asked, self._under_way = self._under_way or [], None
        if self._timer is not None:
            self._timer.cancel()
        self.late = False
        reply = replies[0] if replies else None
        if not isinstance(reply, list):
            if reply is not None and not self._refused:  # said once, as it would be with every request
                log.warning("the store counts no requests", reason=str(reply))
            self._refused = reply is not None
            self._give_up(one for one, _ in asked)
            return
        self._refused, now = False, self._loop.time()
        for (one, wanted), tokens, next_us in zip(asked, reply[::2], reply[1::2], strict=True):
            one.asked = False
            one.share.granted(tokens, wanted, next_us / 1e6, now)
            one.serve(now)
            if one.waiting and tokens < wanted:
                one.settle(False)
            elif one.waiting:  # they came meanwhile
                self.want(one)
        self._ask()

    def _timed_out(self) -> None:
        self._timer = self._loop.call_later(LAST_LOOK_S, self._release)

    def _release(self) -> None:
        """Let everybody go on without an answer."""
        self.late = True
        for one, _ in self._under_way or ():
            one.settle(None)
        self._give_up(())

    def _give_up(self, asked: Iterable[LimitedClient]) -> None:
        """Settle these, and those that would be asked for next, as without an answer."""
        for one in (*asked, *self._wanted):
            one.asked = False
            one.settle(None)
        self._wanted.clear()
