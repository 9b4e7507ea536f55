"""The RPCs of AutoscalerService, and of PoolDemandService, a contract of the router: convert, call, convert."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from headrace.autoscaler.v1 import autoscaler_pb2, autoscaler_pb2_grpc
from headrace.router.v1 import pool_demand_pb2, pool_demand_pb2_grpc
from headrace_servicekit import pages
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import NotFound, Unavailable
from headrace_servicekit.identity import identity
from headrace_servicekit.loops import until
from headrace_servicekit.resource_names import invalid, is_id

from headrace_autoscaler import times
from headrace_autoscaler.api import convert
from headrace_autoscaler.api.dry_run import DryRuns
from headrace_autoscaler.decisions.replica_counts import start_s
from headrace_autoscaler.names import decision_of, pool_of
from headrace_autoscaler.policies.convert import policy_of, to_message
from headrace_autoscaler.policies.declared import declared
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.values import PoolChange, PoolRow

# A data plane repeats itself each second.
_AWAITED = timedelta(seconds=15)
MAX_REASON_CHARS = 500
_REPLAYED_BY_DEFAULT = timedelta(hours=1)


class AutoscalerServicer(autoscaler_pb2_grpc.AutoscalerServiceServicer):
    """AutoscalerService over the store. actuator: its name. stopping: ends the watches."""

    def __init__(
        self,
        pools: Pools,
        decisions: Decisions,
        dry_runs: DryRuns,
        feed: ChangeFeed[PoolChange],
        clock: Clock,
        actuator: str,
        stopping: asyncio.Event,
    ) -> None:
        self._pools, self._decisions, self._dry_runs, self._feed = pools, decisions, dry_runs, feed
        self._clock, self._actuator, self._stopping = clock, actuator, stopping

    async def PutPolicy(self, request, context):
        pool, declared = pool_of(request.policy.name, "policy.name", "policy"), policy_of(request.policy)
        row = await self._pools.put_policy(
            *(pool, declared.document(), identity().client, request.policy.etag), validate_only=request.validate_only
        )
        return autoscaler_pb2.PutPolicyResponse(policy=convert.to_policy(row.policy))

    async def DryRunPolicy(self, request, context):
        pool, declared = pool_of(request.policy.name, "policy.name", "policy"), policy_of(request.policy)
        decision, observation = await self._dry_runs.now(pool, declared.policy)
        return autoscaler_pb2.DryRunPolicyResponse(
            decision=convert.decided(decision, observation, identity().sees, inputs=True),
            policy=to_message(pool, declared),
        )

    async def GetPolicy(self, request, context):
        row = await self._pools.pool(pool_of(request.name, "name", "policy"))
        return autoscaler_pb2.GetPolicyResponse(policy=convert.to_policy(row.policy))

    async def DeletePolicy(self, request, context):
        await self._pools.delete_policy(pool_of(request.name, "name", "policy"), request.etag)
        return autoscaler_pb2.DeletePolicyResponse()

    async def PausePool(self, request, context):
        pool = pool_of(request.name, "name")
        if len(request.reason) > MAX_REASON_CHARS or "\0" in request.reason:
            raise invalid("reason", f"must have at most {MAX_REASON_CHARS} characters, none of them NUL")
        row = await self._pools.pause(pool, request.reason, identity().client)
        return autoscaler_pb2.PausePoolResponse(pool=await self._shown(row))

    async def ResumePool(self, request, context):
        row = await self._pools.resume(pool_of(request.name, "name"))
        return autoscaler_pb2.ResumePoolResponse(pool=await self._shown(row))

    async def ListPools(self, request, context):
        size, after = pages.page_size(request.page_size), pages.last_of(request.page_token, (), str)
        rows = await self._pools.pools(str(after or ""), size + 1)
        token = pages.token_of((), rows[size - 1].pool) if len(rows) > size else ""
        shown = [await self._shown(row) for row in rows[:size]]
        return autoscaler_pb2.ListPoolsResponse(pools=shown, next_page_token=token)

    async def WatchPool(self, request, context):
        pool = pool_of(request.name, "name")
        yield autoscaler_pb2.WatchPoolResponse(pool=await self._shown(await self._pools.pool(pool)))
        watched: Any = until(self._stopping, self._feed.watch(None, lambda change: change.pool == pool))
        async with aclosing(watched) as changes:
            whole = False
            async for change in changes:
                if change.state is None:
                    whole = True
                elif whole:
                    yield autoscaler_pb2.WatchPoolResponse(pool=await self._shown(await self._pools.pool(pool)))
        raise Unavailable("the autoscaler is stopping: watch again", reason="STOPPING", retry_after_s=0.5)

    async def ListDecisions(self, request, context):
        pool, size = pool_of(request.parent, "parent"), pages.page_size(request.page_size)
        start, end = times.time_of(request, "start_time"), times.time_of(request, "end_time")
        query = (pool, request.only_changes)
        before: Any = pages.last_of(request.page_token, query, int)
        rows = await self._decisions.decisions(
            pool, before=before, only_changes=request.only_changes, start=start, end=end, limit=size + 1
        )
        last = rows[size - 1].number if len(rows) > size else None
        return autoscaler_pb2.ListDecisionsResponse(
            decisions=[convert.to_decision(row, identity().sees, inputs=False) for row in rows[:size]],
            next_page_token="" if last is None else pages.token_of(query, last),
        )

    async def ExplainDecision(self, request, context):
        row = await self._decisions.decision(*decision_of(request.name, "name"))
        policy = await self._pools.policy(row.revision)
        return autoscaler_pb2.ExplainDecisionResponse(
            decision=convert.to_decision(row, identity().sees, inputs=True), policy=convert.to_policy(policy)
        )

    async def Replay(self, request, context):
        pool = pool_of(request.name, "name")
        policy = policy_of(request.policy).policy if request.HasField("policy") else None
        start, end = times.span_of(request, self._clock.now(), _REPLAYED_BY_DEFAULT)
        sees = identity().sees
        replayed: Any = until(self._stopping, self._dry_runs.replay(pool, start, end, policy))
        async with aclosing(replayed) as decisions:
            async for one in decisions:
                yield autoscaler_pb2.ReplayResponse(
                    recorded=convert.to_decision(one.row, sees, inputs=False),
                    replayed=convert.decided(one.decision, one.observation, sees, inputs=False),
                    same=one.same,
                )
        if self._stopping.is_set():
            raise Unavailable("the autoscaler is stopping: ask again", reason="STOPPING", retry_after_s=0.5)

    async def _shown(self, row: PoolRow) -> autoscaler_pb2.Pool:
        latest = None
        if row.decision is not None:
            try:
                latest = await self._decisions.decision(row.pool, row.decision)
            except NotFound:
                latest = None  # it is so old that it is not kept
        return convert.to_pool(row, latest, self._actuator, identity().sees)


class PoolDemandServicer(pool_demand_pb2_grpc.PoolDemandServiceServicer):
    """PoolDemandService over the store."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    async def AwaitPool(self, request, context):
        if not is_id(request.pool):
            raise invalid("pool", "is not the name of a pool")
        try:
            row = await self._pools.pool(request.pool)
        except NotFound:
            return pool_demand_pb2.AwaitPoolResponse()
        if row.pause is not None or declared(row.policy.document).policy.scale_to_zero is None:
            return pool_demand_pb2.AwaitPoolResponse()
        answer = pool_demand_pb2.AwaitPoolResponse(starts=True)
        took = start_s(await self._pools.await_replica(request.pool, _AWAITED))
        if took is not None:
            answer.start_duration.FromTimedelta(timedelta(seconds=took))
        return answer
