"""The leader's rounds: observe every pool that is due, decide, store the decisions, then call the actuator.

Decisions are stored under the fence of the lease before the actuator is called: a leader that resumes after another one
took over is refused, and calls nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NoReturn, TypeVar

import structlog
from headrace_scaling.decisions import limits
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.documents import from_json
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted, NotFound

from headrace_autoscaler.acting.calls import Calls
from headrace_autoscaler.acting.situations import Situations
from headrace_autoscaler.acting.watched import Result, Watched, adopt, decide_on
from headrace_autoscaler.actuators.actuator import Actuator, ActuatorError
from headrace_autoscaler.decisions import actuation as steps
from headrace_autoscaler.decisions.actuation import Acting
from headrace_autoscaler.decisions.problems import BLIND
from headrace_autoscaler.metrics import AutoscalerMetrics
from headrace_autoscaler.policies.declared import declared
from headrace_autoscaler.signals.observer import Observer
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.rounds import InForce, Rounds, Start
from headrace_autoscaler.storage.values import DemandMinute, Outcome, OutcomeUpdate, PoolRow

log = structlog.get_logger()

T = TypeVar("T")

TICK_S = 1.0


class Leader:
    """Does the rounds while this process leads."""

    def __init__(
        self,
        lease: LeaderLease,
        pools: Pools,
        observer: Observer,
        actuator: Actuator,
        clock: Clock,
        metrics: AutoscalerMetrics,
        *,
        actuator_timeout_s: float,
    ) -> None:
        self._lease, self._rounds, self._pools = lease, Rounds(lease), pools
        self._observer, self._actuator, self._clock, self._metrics = observer, actuator, clock, metrics
        self._situations = Situations(observer, self._rounds, actuator, clock)
        self._calls = Calls(actuator, self._settle, within_s=actuator_timeout_s)
        self._watched: dict[str, Watched] = {}
        self._fence: int | None = None
        self._settled: dict[str, str | None] = {}

    async def run(self) -> NoReturn:
        """Run rounds whenever this process holds the leader lease."""
        await self._lease.lead(self.step, every_s=TICK_S)

    async def step(self) -> bool:
        """Do one round; return whether there is more to do at once."""
        try:
            await self._round()
        except Aborted as error:
            log.warning("the round was refused", reason=error.public_message)
            self._metrics.refused.inc()
        return False

    @property
    def pools(self) -> Iterable[Watched]:
        """Return the pools that this process scales; none while another one leads."""
        return () if self._lease.fence is None else self._watched.values()

    async def _round(self) -> None:
        if self._fence != self._lease.fence:  # another one may have led meanwhile
            await self._calls.end()
            self._watched, self._settled, self._fence = {}, {}, self._lease.fence
        now, in_force = await self._rounds.in_force()
        await self._follow(in_force)
        await self._keep_settled(now)
        now_s = self._clock.monotonic()
        due = [pool for pool in self._watched.values() if pool.is_due(now_s) or self._waits(pool, in_force)]
        if not due:
            return
        targets, problems = await self._targets([pool.pool for pool in due])
        results: dict[str, Result] = {}
        started: list[Start] = []
        for pool in due:
            pool.decided_s = self._clock.monotonic()
            target, problem = targets.get(pool.pool), problems.get(pool.pool, "")
            policy = in_force[pool.pool]
            situation = await self._situations.of(
                pool,
                now,
                policy,
                # What is settled and not kept yet is not over either.
                in_flight=self._calls.in_flight(pool.pool) or pool.pool in self._settled,
                floor=self._floor(pool, now, awaited=policy.awaited),
                target=target,
                problem=problem,
            )
            if situation is None:
                pool.problems = (BLIND,)
            else:
                started += self._situations.starts(pool)
                results[pool.pool] = decide_on(pool, situation)
        if results:
            await self._save(results, started, now)

    async def _save(self, results: Mapping[str, Result], started: Sequence[Start], now: datetime) -> None:
        numbers = await self._rounds.save(
            [result.kept for result in results.values()],
            [outcome for result in results.values() for outcome in result.outcomes],
            started,
            [
                DemandMinute(
                    pool,
                    minute.start,
                    minute.metric,
                    minute.peak,
                    minute.total / minute.samples,
                    minute.ready_total / minute.samples,
                    minute.samples,
                )
                for pool, result in results.items()
                for minute in result.over
            ],
            now,
        )
        for pool, result in results.items():
            adopt(self._watched[pool], result, numbers[pool])
            self._metrics.decisions.labels(pool, result.decision.rule).inc()
            if result.ask is not None:
                self._watched[pool].asked_s = self._clock.monotonic()
                self._calls.begin(pool, result.ask, self._observer.cheapest_first(pool))

    def _waits(self, pool: Watched, in_force: Mapping[str, InForce]) -> bool:
        """Return whether requests wait for the first replica of a pool that no decision has requested yet."""
        return in_force[pool.pool].awaited and pool.desired == 0

    def _floor(self, pool: Watched, now: datetime, *, awaited: bool) -> int:
        """Return the minimum replica count of a pool, independent of measurements and within its maximum: for the
        overflow of other pools, and for requests that wait for the first replica.
        """
        needed = max(sum(other.overflows_by(pool.pool) for other in self._watched.values()), int(awaited))
        _, greatest, _ = limits.bounds(pool.declared.policy, now.timestamp())
        return min(needed, greatest)

    async def _follow(self, in_force: Mapping[str, InForce]) -> None:
        """Watch what has a policy, under the policy that is in force."""
        for gone in self._watched.keys() - in_force.keys():
            del self._watched[gone]
        fresh = [name for name, one in in_force.items() if self._revision(name) != one.revision]
        starts = await self._rounds.starts() if fresh else {}
        for name in fresh:
            try:
                row = await self._pools.pool(name)
            except NotFound:
                continue  # it went just now
            try:
                self._watched[name] = self._watch(row, self._watched.get(name), starts.get(name, []))
            except ValueError as error:  # written by another release: the other pools continue
                log.error("the pool is not scaled: its policy cannot be read", pool=name, problem=str(error))

    def _revision(self, pool: str) -> int | None:
        return self._watched[pool].revision if pool in self._watched else None

    def _watch(self, row: PoolRow, known: Watched | None, starts: list[float]) -> Watched:
        policy = declared(row.policy.document)
        memory, acting = _readable(Memory, row.memory), _readable(Acting, row.acting) or Acting()
        watched = Watched(row.pool, row.policy.revision, policy, memory, acting, starts=starts)
        if known is not None:
            watched.asked_s, watched.measured, watched.minutes = known.asked_s, known.measured, known.minutes
            watched.short_since_s, watched.desired = known.short_since_s, known.desired
        else:
            watched.measured = set(self._observer.processes(row.pool))
        return watched

    async def _targets(self, pools: Sequence[str]) -> tuple[Mapping[str, int], Mapping[str, str]]:
        """Return what the actuator keeps the pools at, and of which it cannot say that, and why."""
        if not self._actuator.acts:
            return {}, {}
        try:
            found = await self._actuator.targets(pools)
        except ActuatorError as error:
            return {}, dict.fromkeys(pools, f"{error}.")
        targets = {pool: one for pool, one in found.items() if isinstance(one, int)}
        return targets, {pool: f"{one}." for pool, one in found.items() if isinstance(one, ActuatorError)}

    def _settle(self, pool: str, problem: str | None) -> None:
        """Take what came of asking; the next round keeps it."""
        self._settled[pool] = problem
        self._metrics.asked.labels(pool, "acknowledged" if problem is None else "failed").inc()

    async def _keep_settled(self, now: datetime) -> None:
        for pool, problem in list(self._settled.items()):
            watched = self._watched.get(pool)
            if watched is not None:
                await self._keep(watched, problem, now)
            self._settled.pop(pool, None)

    async def _keep(self, pool: Watched, problem: str | None, now: datetime) -> None:
        number, now_s = pool.acting.decision, now.timestamp()
        if problem is None:
            acting = steps.acknowledged(pool.acting, now_s)
            outcome, detail = Outcome.ACKNOWLEDGED, f"The actuator has acknowledged {acting.target}{acting.whom}."
        else:
            acting = steps.failed(pool.acting, problem, now_s)
            outcome, detail = Outcome.FAILED, f"{problem}."
        outcomes = [] if number is None else [OutcomeUpdate(number, outcome, detail)]
        await self._rounds.settle(pool.pool, acting, outcomes, now)
        pool.acting = acting


def _readable(kind: type[T], document: str | None) -> T | None:
    """Return the stored state; None if there is none, or if another release wrote it in another format."""
    if document is None:
        return None
    try:
        return from_json(kind, document)
    except ValueError as error:
        log.warning("what was remembered cannot be read", kind=kind.__name__, problem=str(error))
        return None
