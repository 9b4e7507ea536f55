"""PoolDemandService, a contract of the router: data planes ask for the first replica of a pool that scales to zero."""

from __future__ import annotations

from datetime import timedelta

from headrace.router.v1 import pool_demand_pb2, pool_demand_pb2_grpc
from headrace_servicekit.errors import NotFound
from headrace_servicekit.resource_names import invalid, is_id

from headrace_autoscaler.decisions.replica_counts import start_s
from headrace_autoscaler.policies.declared import declared
from headrace_autoscaler.storage.pools import Pools

# A data plane repeats itself each second.
_AWAITED = timedelta(seconds=15)


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
