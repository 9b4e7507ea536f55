"""Rate limit of sign-ins by address. Pure but for the clock, which is an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

# Limit of the buckets. A dropped address starts with a full bucket; the limit over all addresses makes up for it.
_MOST_ADDRESSES = 10_000
# Limit over all addresses, as a multiple of one address's limit.
_ALL_TOGETHER = 20


class SignInLimit:
    """A token bucket for each address, and one for all."""

    def __init__(self, per_minute: int, now_s: Callable[[], float]) -> None:
        self._per_minute, self._now_s = per_minute, now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, address: str) -> bool:
        """Count a sign-in; return whether it is allowed. A refused address takes nothing from the common bucket."""
        return self._spend(f"of {address}", self._per_minute) and self._spend("", self._per_minute * _ALL_TOGETHER)

    def _spend(self, name: str, per_minute: int) -> bool:
        now = self._now_s()
        left, since = self._buckets.pop(name, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        self._buckets[name] = (left - 1 if left >= 1 else left, now)
        while len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1
