"""Whose turn it is to be loaded, and whose attempt is over. Pure: what never loads must not keep others from loading.

Versions take turns: fewest failures first, then what was evicted and is asked for, then the least time spent on
loading, then the most needed, then who has waited longest. One is loaded at a time as long as that is quick; beside one
that takes longer, more. When all places are taken, one that has had its share gives way to one that has used less, and
its next share is as large as all that it has used: a version that needs a minute gets it, after some turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace_batcher.decisions.version_state import Phase, VersionState

# A load that has lasted this long does not keep the next one waiting any more.
ALONE_S = 5.0
# What an attempt may take, at least, before it gives way.
SHARE_S = 10.0


@dataclass(frozen=True, slots=True)
class LoadBounds:
    """at_once: loads that may go on beside each other. attempt_s: the longest that one attempt may take."""

    at_once: int = 2
    attempt_s: float = 120.0


USUAL = LoadBounds()


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether the version asked about may be loaded now, or which attempt gives way to it, or when to look again."""

    free: bool
    gives_way: str | None
    until: float


def turn(one: VersionState) -> tuple[int, bool, float, int, float, int]:
    """Return what decides who is next; the least is."""
    rank = one.wanted_rank if one.wanted_rank is not None else 0
    somebody_waits = one.phase is Phase.EVICTED
    return (one.failures, not somebody_waits, one.used_s, one.need, one.wanted_since, rank)


def overdue(seen: Sequence[VersionState], bounds: LoadBounds, now: float) -> tuple[tuple[str, ...], float]:
    """Return the attempts that have taken too long, and when the next one will have."""
    ends = {one.digest: one.opening_since + bounds.attempt_s for one in seen}
    over = tuple(digest for digest, at in ends.items() if at <= now)
    return over, min((at for at in ends.values() if at > now), default=math.inf)


def place_for(chosen: VersionState, loading: Sequence[VersionState], bounds: LoadBounds, now: float) -> Turn:
    """Return whether there is a place for a version beside those that are being loaded."""
    # Who the backend may have died of is loaded with nothing beside it: it would be anybody's fault.
    apart = chosen.suspected or any(one.suspected for one in loading)
    if not loading:
        return Turn(True, None, math.inf)
    if not apart and len(loading) < bounds.at_once:
        begins = max(one.loading_since for one in loading) + ALONE_S
        return Turn(begins <= now, None, begins if begins > now else math.inf)
    ripe_at = {one.digest: max(_share_ends(one), now + _behind_s(one, chosen, now)) for one in loading}
    ripe = [one for one in loading if ripe_at[one.digest] <= now]
    if ripe:
        return Turn(False, max(ripe, key=lambda one: (one.failures, _used_s(one, now), one.digest)).digest, math.inf)
    return Turn(False, None, min(ripe_at.values()))


def _behind_s(one: VersionState, than: VersionState, now: float) -> float:
    """Return how long an attempt must still go on to have cost more than another version has.

    What is needed more than that gives way to it never.
    """
    if one.need < than.need or one.failures < than.failures:
        return math.inf
    if one.failures > than.failures or _used_s(one, now) > than.used_s:
        return 0.0
    return than.used_s - _used_s(one, now) + 0.001


def _used_s(one: VersionState, now: float) -> float:
    return one.used_s + max(0.0, now - one.opening_since)


def _share_ends(one: VersionState) -> float:
    return one.opening_since + max(SHARE_S, one.used_s)
