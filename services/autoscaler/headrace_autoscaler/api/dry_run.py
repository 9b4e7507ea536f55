"""What a policy would decide now, and what it would have decided then: the rule over what is recorded, or seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from headrace_scaling.decisions.decider import decide
from headrace_scaling.decisions.decision import Decision
from headrace_scaling.decisions.memory import Memory
from headrace_scaling.decisions.observations import Observation, Replicas
from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.documents import from_json, to_json
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, Unavailable

from headrace_autoscaler.decisions import replica_counts
from headrace_autoscaler.policies.declared import declared
from headrace_autoscaler.signals.observer import Observer
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.values import DecisionRow


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded decision, and the same one made again."""

    row: DecisionRow
    observation: Observation
    decision: Decision
    same: bool


class DryRuns:
    """Decides without keeping anything."""

    def __init__(self, pools: Pools, decisions: Decisions, observer: Observer, clock: Clock) -> None:
        self._pools, self._decisions, self._observer, self._clock = pools, decisions, observer, clock

    async def now(self, pool: str, policy: PoolPolicy) -> tuple[Decision, Observation]:
        """Return the decision of a policy for the current observation of a pool.

        Starts from the pool's policy state if a policy is in force. Raises Unavailable before the first observation.
        """
        view = self._observer.view(pool)
        if view is None:
            raise Unavailable(
                "the control plane was not reached yet, so the pool's replicas are unknown",
                reason="POOL_NOT_SEEN",
                retry_after_s=2.0,
            )
        latest = await self._decisions.find(pool, None)
        before = None if latest is None else from_json(Observation, latest.observation)
        counts = self._observer.count(pool, target=None, target_age_s=0.0, deadline_s=replica_counts.LEAST_DEADLINE_S)
        assert counts is not None, "what can be viewed can be counted"
        observation = Observation(
            pool=pool,
            now=self._clock.now().timestamp(),
            replicas=Replicas(counts.ready, counts.coming, counts.missing, counts.draining),
            signals=view.signals,
            models=view.models,
            load_time_s=None if before is None else before.load_time_s,
            seasonal_peaks=() if before is None else before.seasonal_peaks,
            earlier_hours=None if before is None else before.earlier_hours,
        )
        memory = None if latest is None or latest.memory is None else from_json(Memory, latest.memory)
        decision, _ = decide(policy, memory, observation)
        return decision, observation

    async def replay(
        self, pool: str, start: datetime, end: datetime, policy: PoolPolicy | None
    ) -> AsyncIterator[Replayed]:
        """Yield recorded decisions, made again by the policy that was in force, or by another one.

        By another one, memory begins with nothing and is handed on. Raises NotFound, reason NO_DECISIONS.
        """
        found, memory = False, None
        policies: dict[int, PoolPolicy] = {}
        async for row in self._decisions.recorded(pool, start, end):
            found = True
            observation = from_json(Observation, row.observation)
            if policy is None:
                if row.revision not in policies:
                    policies[row.revision] = declared((await self._pools.policy(row.revision)).document).policy
                memory = None if row.memory is None else from_json(Memory, row.memory)
            decision, memory = decide(policy or policies[row.revision], memory, observation)
            yield Replayed(row, observation, decision, to_json(decision) == row.decision)
        if not found:
            raise NotFound(f"no decision on pool '{pool}' is retained from that time", reason="NO_DECISIONS")
