"""What the leader decides from: a pool as it was seen last, what the actuator keeps, what earlier days needed."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from headrace_scaling.decisions import dips, seasons
from headrace_servicekit.clock import Clock

from headrace_autoscaler.acting.watched import Situation, Watched
from headrace_autoscaler.actuators.actuator import Actuator
from headrace_autoscaler.decisions import replica_counts
from headrace_autoscaler.signals.observer import Observer, PoolView
from headrace_autoscaler.storage.pools import STARTS_KEPT
from headrace_autoscaler.storage.rounds import InForce, Rounds, Start

# The floor that earlier days set is looked up so often.
PEAKS_EVERY_S = 30.0


class Situations:
    """Looks at pools for the leader."""

    def __init__(self, observer: Observer, rounds: Rounds, actuator: Actuator, clock: Clock) -> None:
        self._observer, self._rounds, self._actuator, self._clock = observer, rounds, actuator, clock

    async def of(
        self,
        pool: Watched,
        now: datetime,
        in_force: InForce,
        *,
        target: int | None,
        problem: str,
        floor: int,
        in_flight: bool,
    ) -> Situation | None:
        """Return the input of a decision; None until the pool has been observed.

        target: replica count that the actuator maintains; problem: why it is unknown. floor: minimum replica count,
        independent of measurements. in_flight: whether a call to the actuator is in flight.
        """
        view, acting = self._observer.view(pool.pool), pool.acting
        if view is None:
            return None
        if in_flight:
            target = acting.target
        start_s = replica_counts.start_s(pool.starts)
        deadline_s = replica_counts.ready_deadline_s(pool.declared.ready_deadline_s, start_s)
        age_s = self._shortage_age_s(pool, now, target, deadline_s)
        counts = self._observer.count(pool.pool, target=target, target_age_s=age_s, deadline_s=deadline_s)
        assert counts is not None, "what can be viewed can be counted"
        await self._look_up_peaks(pool, now, start_s)
        hold_reason = ""
        if in_force.paused:
            hold_reason = "The pool is paused."
        elif not self._actuator.acts:
            hold_reason = "This installation only recommends."
        elif target is None:
            hold_reason = problem or f"The actuator '{self._actuator.name}' does not know the pool."
        if target is None and not problem and self._actuator.acts:
            problem = hold_reason
        return Situation(
            now=now,
            view=view,
            counts=counts,
            target=target,
            load_time_s=start_s if start_s is not None else _load_time_s(view),
            deadline_s=deadline_s,
            floor=floor,
            awaited=in_force.awaited,
            held=hold_reason,
            in_flight=in_flight,
            actuator_problem=problem,
        )

    def _shortage_age_s(self, pool: Watched, now: datetime, target: int | None, deadline_s: float) -> float:
        """Return for how long replicas that should be there are not: since they were asked for, or out of sight."""
        bare = self._observer.count(pool.pool, target=None, target_age_s=0.0, deadline_s=deadline_s)
        if bare is None or target is None or bare.ready + bare.coming + bare.missing >= target:
            pool.short_since_s = None
            return 0.0
        if pool.short_since_s is None:
            pool.short_since_s = self._clock.monotonic()
        out_of_sight_s = self._clock.monotonic() - pool.short_since_s
        return min(out_of_sight_s, max(0.0, now.timestamp() - pool.acting.since_s))

    async def _look_up_peaks(self, pool: Watched, now: datetime, start_s: float | None) -> None:
        policy, now_s = pool.declared.policy, self._clock.monotonic()
        season = policy.season
        if season is None or now_s < pool.peaks_until_s:
            return
        ahead_s = dips.start_s(policy, start_s) + PEAKS_EVERY_S
        metric = policy.demand.metric.value
        ahead = timedelta(seconds=ahead_s)
        pool.peaks = await self._rounds.seasonal_peaks(pool.pool, metric, now, season.days, ahead)
        pool.earlier_hours = await self._rounds.earlier_hours(pool.pool, metric, now, seasons.HOURS, ahead)
        pool.peaks_until_s = now_s + PEAKS_EVERY_S

    def starts(self, pool: Watched) -> list[Start]:
        """Return the starts that are over since the last look."""
        found = []
        for process, ready_s in self._observer.ready_since(pool.pool).items():
            if process not in pool.measured:
                pool.measured.add(process)
                if pool.asked_s is not None and ready_s > pool.asked_s:
                    found.append(Start(pool.pool, process, ready_s - pool.asked_s))
        pool.starts = [*(start.duration_s for start in found), *pool.starts][:STARTS_KEPT]
        return found


def _load_time_s(view: PoolView) -> float | None:
    loads = [
        version.load_s
        for member in view.members
        for version in member.versions.values()
        if version.load_s is not None and math.isfinite(version.load_s)
    ]
    return max(loads, default=None)
