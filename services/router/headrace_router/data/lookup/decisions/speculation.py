"""Whether a batcher is asked at once with the store, or after it. Pure: numbers in, a decision out."""

from __future__ import annotations

# Share that a new reply has in what is known: about the last twenty count.
WEIGHT = 0.05
# As seldom must the store have something: so many of these requests ask a batcher in vain.
MOST_KNOWN = 0.05
MAX_VERSIONS = 4096


class HitShares:
    """Of what the store was asked for lately, the share that it had something for, by version digest.

    It is 1 for a version that nothing was asked for: after a start, the store has what this process has forgotten. When
    there are too many, the oldest go first.
    """

    def __init__(self) -> None:
        self._shares: dict[str, float] = {}

    def of(self, digest: str) -> float:
        """Return the share of a version."""
        return self._shares.get(digest, 1.0)

    def add(self, digest: str, *, known: bool) -> None:
        """Take a reply of the store into account."""
        shares, share = self._shares, self.of(digest)
        if digest not in shares and len(shares) >= MAX_VERSIONS:
            del shares[next(iter(shares))]
        shares[digest] = share + WEIGHT * (known - share)


def executes_speculatively(known_share: float, in_flight: int) -> bool:
    """Return whether nothing is lost by it: the store will hardly have the answer, and nobody else has a batcher work.

    in_flight: requests at batchers.
    """
    return known_share <= MOST_KNOWN and not in_flight
