"""Dips: demand that falls and comes back. Short ones are bridged, as starting the replicas again costs more."""

from __future__ import annotations

import math
from dataclasses import replace

from headrace_scaling.decisions.decision import Recommendation
from headrace_scaling.decisions.memory import Dip, Memory
from headrace_scaling.decisions.observations import Observation
from headrace_scaling.decisions.policies import PoolPolicy

# A fall by less is within what a replica has left beside its target.
_CLEARLY = 1.2
# The window exceeds a start, and the longest recent dip, by this factor. Recent: within _OF_LATE times the longest
# bridged dip.
_SLACK = 1.25
_OF_LATE = 3.0


def start_s(policy: PoolPolicy, measured_s: float | None) -> float:
    """Return how long a replica takes from its start to READY: as measured, or as the policy has it until then."""
    usual_s = 60.0 if policy.look_ahead is None else policy.look_ahead.default_s
    return usual_s if measured_s is None or not math.isfinite(measured_s) else max(0.0, measured_s)


def noted(
    policy: PoolPolicy, memory: Memory, observation: Observation, recommendations: tuple[Recommendation, ...]
) -> Memory:
    """Return the memory with the count that is needed now: it begins, continues or ends a dip.

    A dip is over when what was needed before it is needed again. One that is longer than is bridged is a new level.
    """
    longest_s, now, dip = _longest_s(policy, observation), memory.now, memory.dip
    if longest_s <= 0.0:
        return replace(memory, dip=None, dips=())
    if any(one.problem is not None for one in recommendations):
        return memory
    needed = _needed(recommendations)
    dips = tuple(one for one in memory.dips if one[0] > now - _OF_LATE * longest_s)
    if dip is None or now - dip.since > longest_s:
        return replace(memory, dip=Dip(now, needed, needed), dips=dips)
    if needed * _CLEARLY < dip.top:
        return replace(memory, dip=replace(dip, low=min(dip.low, needed)), dips=dips)
    if min(dip.top, needed) - max(1, dip.low) >= 2:
        lasted_s = now - dip.since
        # One that was shorter than a later one is never the longest again.
        dips = (*(one for one in dips if one[1] > lasted_s), (now, lasted_s))
    return replace(memory, dip=Dip(now, max(dip.top, needed), needed), dips=dips)


def _longest_s(policy: PoolPolicy, observation: Observation) -> float:
    """Return the longest dip that is bridged: a little more than is held anyway, or what starts are worth."""
    if policy.bridged_starts <= 0.0 or policy.scale_down_window_s <= 0.0:
        return 0.0
    anyway_s = policy.stable_window_s + policy.scale_down_window_s
    return max(_SLACK * anyway_s, policy.bridged_starts * start_s(policy, observation.load_time_s))


def window_s(policy: PoolPolicy, memory: Memory, observation: Observation) -> float:
    """Return the scale-down window: the longest of the policy's, a start and the recent dips."""
    if _longest_s(policy, observation) <= 0.0:
        return policy.scale_down_window_s
    longest_s = max((lasted for _, lasted in memory.dips), default=0.0)
    return max(policy.scale_down_window_s, _SLACK * longest_s, _SLACK * start_s(policy, observation.load_time_s))


def held(memory: Memory, recommendations: tuple[Recommendation, ...]) -> int:
    """Return what the short window needs, where demand dips: the mean over a top and a dip is enough for neither."""
    return _needed(recommendations) if memory.dips else 0


def _needed(recommendations: tuple[Recommendation, ...]) -> int:
    return max(one.burst_replicas for one in recommendations)
