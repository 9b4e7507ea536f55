"""Which loaded version gives its memory up: the least recently used one that is not warm, once nothing else can go.

Pure. An evicted version stays announced: requests for it wait until it is loaded again, if they have the time. A
version is warm while it is pinned, has requests, or has answered one lately; it is never evicted then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace_batcher.decisions.version_state import Memory, Need, Phase, VersionState

# When nothing that is warm says when it will not be any more.
_UNKNOWN_S = 5.0
# Bounds of the retry delay: versions may stay warm for ever, which is no delay to announce.
_LEAST_S, _MOST_S = 0.5, 3600.0


@dataclass(frozen=True, slots=True)
class Spare:
    """What to unload to free memory. drop: for good. evict: until a request comes for it."""

    drop: tuple[str, ...] = ()
    evict: str | None = None

    def __bool__(self) -> bool:
        return bool(self.drop) or self.evict is not None


def is_cold(one: VersionState, warm_for_s: float, now: float) -> bool:
    """Return whether a version may be evicted: it is loaded and had no request for a while."""
    if one.phase is not Phase.READY or one.pinned or one.busy or one.settling or warm_for_s == math.inf:
        return False
    return one.answered_at + warm_for_s <= now


def leaving(seen: Sequence[VersionState]) -> bool:
    """Return whether memory is being given back already: how much is not known before that is over."""
    return any(one.phase in (Phase.DRAINING, Phase.EVICTING) for one in seen)


def spare(
    seen: Sequence[VersionState], memory: Memory, warm_for_s: float, now: float, for_need: Need = Need.ACTIVE
) -> Spare:
    """Return what to unload when memory is short, one version at a time: an unwanted one, else the last that only a
    rollback would need, else the least recently used. Nothing is evicted for a version that only a rollback would need.
    """
    if leaving(seen):
        return Spare()
    ready = [one for one in seen if one.phase is Phase.READY and not one.settling]
    unwanted = [one for one in ready if one.wanted_rank is None]
    if unwanted:
        return Spare((min(unwanted, key=lambda one: one.unwanted_since).digest,))
    if for_need is Need.REVERT:
        return Spare()
    revert = [one for one in ready if one.need is Need.REVERT]
    if revert:
        return Spare((max(revert, key=lambda one: one.wanted_rank or 0).digest,))
    cold = [one for one in ready if is_cold(one, warm_for_s, now)]
    if memory.gpu_is_short and not memory.main_is_short:  # what runs on a CPU would give back nothing of use
        cold = [one for one in cold if one.on_gpu]
    return Spare((), min(cold, key=_last_used).digest) if cold else Spare()


def retry_after_s(seen: Sequence[VersionState], warm_for_s: float, now: float) -> float:
    """Return when to ask again for a version that all others are too warm for: until the first may be evicted."""
    cools_at = [one.answered_at + warm_for_s for one in seen if one.phase is Phase.READY and not one.pinned]
    return min(_MOST_S, max(_LEAST_S, min(cools_at) - now)) if cools_at else _UNKNOWN_S


def _last_used(one: VersionState) -> tuple[float, str]:
    used_at = max(one.answered_at, one.loaded_at)
    return (used_at if math.isfinite(used_at) else -math.inf, one.digest)
