"""Whether the requests of a version come back, so that looking for kept answers is worth what it costs.

Evidence is one key in sixteen, drawn by the key itself: its answers are always looked for and kept, in every data
plane, so that they come back as often as if all were (Waldspurger et al., Efficient MRC Construction with SHARDS, FAST
2015).
"""

from __future__ import annotations

# Share that a new observation has in an estimate: about the last twenty count.
WEIGHT = 0.05
# Where fewer keys come back, a key's first request is computed without a look-up.
RARE = 0.05
# What a look-up, a shared execution and keeping the answer take of this process (benchmarks.lookup).
LOOKUP_US = 30.0
_SAMPLED = 0x0F


class Repetition:
    """What is known of one version; at first, that everything comes back.

    returning: share of computed answers that were given again. known: share of the look-ups that the store had
    something for; after a start it has what this process has forgotten. compute_us: of one request, in executions that
    requests share.
    """

    __slots__ = ("compute_us", "known", "returning")

    def __init__(self) -> None:
        self.known = self.returning = 1.0
        self.compute_us = 0.0

    def observe_key(self, key: bytes, *, returned: bool) -> None:
        """Take into account that a key came for the first time, or came back."""
        if not key[-2] & _SAMPLED:
            self.returning += WEIGHT * (returned - self.returning)

    def observe_store(self, *, known: bool) -> None:
        """Take a reply of the store into account."""
        self.known += WEIGHT * (known - self.known)

    def observe_execution(self, compute_us: int, batch_requests: int) -> None:
        """Take the time of an execution into account."""
        self.compute_us += WEIGHT * (compute_us / max(1, batch_requests) - self.compute_us)

    def skips_lookup(self, key: bytes) -> bool:
        """Return whether the first request with a key is computed without a look-up, and its answer not kept.

        It costs a second execution for each key that does come back.
        """
        share = self.returning
        return share < RARE and share * self.compute_us < LOOKUP_US and key[-2] & _SAMPLED != 0


class RecentKeys:
    """Which keys were asked for lately, by their hashes. most: at least so many are remembered; at most twice that."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()

    def first(self, key: bytes) -> bool:
        """Return whether a key was not asked for lately. It counts as asked for from now on."""
        number = hash(key)
        if number in self._young or number in self._old:
            return False
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        self._young.add(number)
        return True
