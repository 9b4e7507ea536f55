"""Who is asked about, and in which order: decided by a seed, so that every system gets the same requests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Entities of which an answer is kept; every second one has its answer published, of the others it is in the cache.
KNOWN = 10_000
# Popularity falls with the rank to this power.
ZIPF_EXPONENT = 1.0
# Requests drawn ahead; then they repeat, with other new entities.
DRAWN = 1 << 17
# All entity ids have one length, so that all requests of a row do.
ENTITY_CHARS = 20


def known_entity(position: int) -> str:
    """Return the id of an entity whose answer is kept."""
    return f"known-{position:0{ENTITY_CHARS - 6}d}"


def published(position: int) -> bool:
    """Whether a known entity's answer is published beforehand; else it is computed and cached by the warm-up."""
    return position % 2 == 0


def choices(seed: int, *, known_share: float, known: int = KNOWN, count: int = DRAWN) -> NDArray[np.int64]:
    """Draw requests: a position in the known entities, or -1 - row for a new entity with a row's features.

    Known entities are asked for by Zipf's law, in an order of popularity that has nothing to do with how they are kept.
    """
    draw = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, known + 1) ** ZIPF_EXPONENT
    popular = draw.permutation(known)
    drawn = popular[draw.choice(known, size=count, p=weights / weights.sum())]
    new = draw.random(count) >= known_share
    return np.where(new, -1 - draw.integers(known, size=count), drawn)


def arrivals(seed: int, per_s: float, seconds: float, *, constant: bool = False) -> NDArray[np.float64]:
    """Return when requests are to be sent, in seconds from the start: a Poisson process, or at equal distances."""
    count = max(1, round(per_s * seconds))
    if constant:
        return np.arange(count) / per_s
    return np.cumsum(np.random.default_rng(seed).exponential(1.0 / per_s, count))


class Workload:
    """Hands out requests one after the other."""

    def __init__(self, chosen: Sequence[int], *, run: int | None = None, endless: bool = True) -> None:
        """chosen: as `choices` returns them. run: makes new entities new; None takes the clock."""
        self._chosen = [int(one) for one in chosen]
        self._next = itertools.cycle(self._chosen).__next__ if endless else iter(self._chosen).__next__
        self._entities = [known_entity(one).encode() for one in range(max(0, *self._chosen, 0) + 1)]
        run = time.time_ns() // 1_000_000 % 10**9 if run is None else run
        self._new = itertools.count().__next__
        self._prefix = b"n%09d-" % run

    def draw(self) -> tuple[int, bytes]:
        """Return row and entity of the next request. Raises StopIteration after the last one."""
        one = self._next()
        if one >= 0:
            return one, self._entities[one]
        return -1 - one, self._prefix + b"%09d" % self._new()
