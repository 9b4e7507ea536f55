"""What one data plane has of a bucket that all share: a few tokens ahead, as many as it spent lately.

Tokens that were taken in advance cost a request nothing. They are few, so that none are missing where they are
wanted, and those that are not spent soon are void: a data plane never adds more than AHEAD_S of the rate to what the
bucket lets through.
"""

from __future__ import annotations

import math

from headrace_router.data.rate_limits.decisions.bucket import Rate

# For so long tokens are taken ahead, and so long they are good.
AHEAD_S, KEEP_S = 0.05, 0.1
# A bucket that had less than was wanted is left alone until it has a token, so long at least and at most: what comes
# meanwhile is refused without asking.
PAUSE_S, MAX_PAUSE_S = 0.01, 1.0


class Share:
    """Tokens taken in advance. now, everywhere: a clock that never goes back.

    closed_until: until then no more are asked for. next_at: when there was to be one again.
    """

    __slots__ = ("_ahead", "_kept_until", "_rate", "_since", "_spent", "closed_until", "next_at", "tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self.tokens = self._ahead = self._spent = 0
        self._since = self.next_at = now
        self._kept_until = self.closed_until = -math.inf

    def take(self, now: float) -> bool:
        """Spend a token; return False without one."""
        if self.tokens <= 0:
            return False
        if now >= self._kept_until:
            self.tokens = 0
            return False
        self.tokens -= 1
        self._spent += 1
        return True

    def available(self, now: float) -> int:
        """Return how many tokens a request could take."""
        return self.tokens if now < self._kept_until else 0

    def lease(self, tokens: int) -> None:
        """Spend tokens that are available in advance."""
        self.tokens -= tokens
        self._spent += tokens

    def give_back(self, tokens: int = 1) -> None:
        """Take back tokens that were spent for nothing."""
        self.tokens += tokens
        self._spent -= tokens

    def runs_low(self, now: float) -> bool:
        """Return whether to ask for more before the last one is spent."""
        return self.tokens < self._ahead // 2 and now >= self.closed_until

    def wanted(self, waiting: int, now: float) -> int:
        """Return for how many tokens to ask, where so many requests wait for one."""
        passed_s = now - self._since
        if passed_s >= AHEAD_S:
            self._ahead = int(min(self._spent / passed_s, self._rate.per_s) * AHEAD_S)
            self._spent, self._since = 0, now
        if now >= self._kept_until:
            self.tokens = 0
        return waiting + max(0, self._ahead - self.tokens)

    def granted(self, tokens: int, wanted: int, next_s: float, now: float) -> None:
        """Take what a bucket gave of what was wanted. next_s: until it has one again."""
        self.tokens += tokens
        self._kept_until = now + KEEP_S
        if tokens < wanted:
            self.next_at = now + max(next_s, PAUSE_S)
            self.closed_until = min(self.next_at, now + MAX_PAUSE_S)
