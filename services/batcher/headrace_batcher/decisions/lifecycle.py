"""What to do next about the versions that are wanted or held. Pure: data and time come in, a decision comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace_batcher.decisions import eviction, turns
from headrace_batcher.decisions.turns import USUAL, LoadBounds
from headrace_batcher.decisions.version_state import End, Memory, Need, Phase, VersionState

FIRST_RETRY_S, MAX_RETRY_S = 1.0, 60.0
# A version during whose loading the backend went away more than once takes every other one down with it: it is left
# alone for much longer.
FIRST_CRASH_RETRY_S, MAX_CRASH_RETRY_S = 10.0, 600.0
# A version rests for so many times what its last attempt took of a place, twice as much after each further one.
REST_RATIO = 2.0
# Costly failed attempts in a row after which a version is not tried again until it is wanted again.
MAX_COSTLY = 3
# What an attempt that fails may take and be repeated for ever: rests are sixty times as long by then.
CHEAP_S = 1.0
# Crashes that are this far apart have nothing to do with each other.
CRASHES_FORGOTTEN_S = 300.0
# What an unloaded version held is given back within this time: a model's process ends after Triton has said so, and
# memory is read now and then.
FREED_S = 3.0
# The same on GPUs: Triton looks at them every two seconds, and is asked what it saw as often.
GPU_FREED_S = 5.0
_UNDER_WAY = (Phase.LOADING, Phase.DRAINING, Phase.EVICTING)
_TAKES_THE_NAME = (Phase.READY, *_UNDER_WAY)


@dataclass(frozen=True, slots=True)
class Step:
    """What to begin now. until: when to decide again, unless an event comes first. no_room: fails for want of memory.
    end: attempts to end, each with the reason. evict: to unload until a request comes. crowded: evicted and requested,
    but stays evicted: everything loaded is warm.
    """

    load: str | None
    drop: tuple[str, ...]
    until: float
    no_room: str | None = None
    end: tuple[tuple[str, End], ...] = ()
    evict: str | None = None
    crowded: str | None = None


def next_step(
    seen: Sequence[VersionState],
    *,
    backend_up: bool,
    unload_after_s: float,
    now: float,
    memory: Memory | None = None,
    freed_at: float = -math.inf,
    may_load: bool = True,
    bounds: LoadBounds = USUAL,
    warm_for_s: float = math.inf,
) -> Step:
    """Return the version to load, those to drop, and the attempts to end. freed_at: when something was unloaded last.

    Versions take turns (`turns.py`), few at a time, so that loading takes as little as possible from serving. A version
    goes only after it was unwanted for a while: a control plane that starts may at first want too little. An unwanted
    version that is still loading serves no caller, so its attempt ends at once. When memory is short, unwanted versions
    go at once too, then those that only a rollback would need, then those without a request for warm_for_s
    (`eviction.py`).
    """
    drop, until = _unwanted(seen, unload_after_s, now)
    evict = None
    gpu_seen_at = -math.inf if memory is None or memory.gpu_limit == math.inf else freed_at + GPU_FREED_S
    if memory is not None and memory.is_short and not drop:
        if memory.main_is_short or gpu_seen_at <= now:
            room = eviction.spare(seen, memory, warm_for_s, now)
            drop, evict = room.drop, room.evict
        else:
            until = min(until, gpu_seen_at)
    loading = [one for one in seen if one.phase is Phase.LOADING]
    end, until = _over(loading, bounds, now, until)
    if not backend_up or not may_load:
        return Step(None, drop, until, end=end, evict=evict)
    taken = {one.name for one in seen if one.phase in _TAKES_THE_NAME or one.digest in drop}
    waiting = _waiting([one for one in seen if one.name not in taken])
    due = [one for one in waiting if one.retry_at <= now]
    later = min((one.retry_at for one in waiting if one.retry_at > now), default=math.inf)
    if not due:
        return Step(None, drop, min(until, later), end=end, evict=evict)
    chosen = min(due, key=turns.turn)
    place = turns.place_for(chosen, loading, bounds, now)
    if not place.free:
        if place.gives_way is not None and not end:
            end = ((place.gives_way, End.GIVES_WAY),)
        until = min([until, place.until, *(one.retry_at for one in waiting if one not in due)])
        return Step(None, drop, until, end=end, evict=evict)
    if memory is None or memory.has_room(chosen):
        return Step(chosen.digest, drop, until, end=end, evict=evict)
    if not drop and evict is None:
        if now < gpu_seen_at and memory.has_main_room(chosen):
            return Step(None, (), min(until, gpu_seen_at), end=end)
        room = eviction.spare(seen, memory, warm_for_s, now, chosen.need)
        drop, evict = room.drop, room.evict
    if drop or evict is not None or eviction.leaving(seen):
        return Step(None, drop, until, end=end, evict=evict)  # looked at again when that is gone
    if now < freed_at + FREED_S:
        return Step(None, (), min(until, freed_at + FREED_S), end=end)
    if chosen.phase is Phase.EVICTED and any(one.phase is Phase.READY for one in seen):
        return Step(None, (), until, end=end, crowded=chosen.digest)
    if chosen.need is Need.ACTIVE:  # it serves: it is tried, whatever the limit says
        return Step(chosen.digest, (), until, end=end)
    return Step(None, (), until, no_room=chosen.digest, end=end)


def retry_after_s(failures: int, crashes: int = 0, attempt_s: float = 0.0) -> float:
    """Return how long to wait before a version is tried again, always longer than what the attempt took.

    failures: in a row, this one included. crashes: those of them during which the backend went away; one says nothing.
    """
    rest_s = attempt_s * REST_RATIO ** min(failures, 10)
    if crashes > 1:
        return max(rest_s, min(FIRST_CRASH_RETRY_S * 2.0 ** (crashes - 2), MAX_CRASH_RETRY_S))
    return max(rest_s, min(FIRST_RETRY_S * 2.0 ** (failures - 1), MAX_RETRY_S))


def reload_after_s(crashes: int) -> float:
    """Return how long to wait before a version that crashed while it served is loaded again.

    Zero for the first two crashes, which a single bad request can cause; then the delay grows.
    """
    return 0.0 if crashes <= 2 else min(FIRST_RETRY_S * 2.0 ** min(crashes - 3, 10), MAX_RETRY_S)


def _waiting(seen: Sequence[VersionState]) -> list[VersionState]:
    """Return what is to be loaded sooner or later.

    Not what only a rollback would need while there is no memory for something more urgent: it would take what was given
    up for that.
    """
    wanted = [one for one in seen if one.wanted_rank is not None and _is_due(one)]
    if any(one.short and one.need is not Need.REVERT for one in wanted):
        return [one for one in wanted if one.need is not Need.REVERT]
    return wanted


def _unwanted(seen: Sequence[VersionState], unload_after_s: float, now: float) -> tuple[tuple[str, ...], float]:
    """Return what was unwanted for long enough, and when the next one will have been."""
    drop, until = [], math.inf
    for one in seen:
        if one.wanted_rank is not None or one.settling or one.phase in _UNDER_WAY:
            continue
        gone_at = one.unwanted_since + unload_after_s
        if one.phase is not Phase.READY or gone_at <= now:
            drop.append(one.digest)
        else:
            until = min(until, gone_at)
    return tuple(drop), until


def _over(
    loading: Sequence[VersionState], bounds: LoadBounds, now: float, until: float
) -> tuple[tuple[tuple[str, End], ...], float]:
    """Return the attempts that have no reason to go on, and when to look again."""
    unwanted = [one.digest for one in loading if one.wanted_rank is None]
    late, late_at = turns.overdue([one for one in loading if one.digest not in unwanted], bounds, now)
    end = [*((digest, End.UNWANTED) for digest in unwanted), *((digest, End.OVERDUE) for digest in late)]
    return tuple(end), min(until, late_at)


def _is_due(one: VersionState) -> bool:
    return one.phase in (Phase.WAITING, Phase.FAILED) or (one.phase is Phase.EVICTED and one.busy)
