"""Whether a failed call is tried again, and when: a pure decision, within a budget of all calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace_client.errors import HeadraceError, ResourceExhausted, Unavailable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of the tries of one call; a call is tried again only while its deadline leaves time.

    max_attempts: tries in all. The wait after try n is initial_s · 2^(n - 1), at most max_s, times a random factor in
    [0.5, 1]; at least what the server asked for. budget_share, budget_per_s, budget_burst: of `RetryBudget`, which all
    calls of a client share.
    """

    max_attempts: int = 5
    initial_s: float = 0.1
    max_s: float = 2.0
    budget_share: float = 0.2
    budget_per_s: float = 2.0
    budget_burst: float = 10.0


class RetryBudget:
    """Keeps what a client sends again to a share of what it sends, so that its retries do not make an outage worse.

    Each call earns `share`, each second `per_s` (for those who call seldom), each further try or hedge spends one.
    burst: the most that is saved up, and what a client begins with.
    """

    __slots__ = ("_burst", "_monotonic", "_per_s", "_saved", "_seen_at", "_share")

    def __init__(self, policy: RetryPolicy, monotonic: Callable[[], float]) -> None:
        self._share, self._per_s, self._burst = policy.budget_share, policy.budget_per_s, policy.budget_burst
        self._monotonic, self._saved, self._seen_at = monotonic, policy.budget_burst, monotonic()

    def earn(self) -> None:
        """Count a call."""
        self._saved = min(self._burst, self._saved + self._share)

    def spend(self) -> bool:
        """Take one; return False when the budget is used up."""
        now = self._monotonic()
        self._saved = min(self._burst, self._saved + (now - self._seen_at) * self._per_s)
        self._seen_at = now
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True


def next_wait(
    error: HeadraceError, *, attempt: int, remaining_s: float, policy: RetryPolicy, random: float
) -> float | None:
    """Return the seconds to wait before the next try, or None when the error is final.

    Only for calls that may be repeated. attempt: tries made, from 1. random: uniform in [0, 1). UNAVAILABLE is tried
    again; RESOURCE_EXHAUSTED only when the server says when, because a client that guesses makes an overload worse.
    """
    overloaded = isinstance(error, ResourceExhausted) and error.retry_after_s is not None
    if not (isinstance(error, Unavailable) or overloaded) or not error.may_retry or attempt >= policy.max_attempts:
        return None
    backoff_s = min(policy.max_s, policy.initial_s * 2 ** (attempt - 1)) * (0.5 + random / 2)
    wait_s = max(backoff_s, error.retry_after_s or 0.0)
    return wait_s if wait_s < remaining_s else None
