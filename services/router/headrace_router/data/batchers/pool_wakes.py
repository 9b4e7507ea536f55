"""Pools without batchers that requests wait for: what scales pools is asked whether waiting is of use."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import structlog
from headrace.router.v1 import pool_demand_pb2, pool_demand_pb2_grpc

from headrace_router.data.batchers.pools import Pools

log = structlog.get_logger()

EVERY_S = 0.25
# Of one pool, while requests wait for it.
ASK_EVERY_S = 1.0
CALL_S = 1.0
# For how long an answer counts: some questions may fail.
LEASE_S = 5.0


class Waking:
    """Asks for the first batcher of a pool that has none, as long as requests miss one."""

    def __init__(self, pools: Pools, channel: Any) -> None:
        self._pools, self._stub = pools, pool_demand_pb2_grpc.PoolDemandServiceStub(channel)
        self._asked: dict[str, float] = {}

    async def step(self) -> None:
        """Ask for every pool that is due."""
        now = asyncio.get_running_loop().time()
        due = [
            pool for pool in self._pools.missing(now - ASK_EVERY_S) if self._asked.get(pool, 0.0) <= now - ASK_EVERY_S
        ]
        self._asked = {pool: asked for pool, asked in self._asked.items() if asked > now - 60.0}
        self._asked |= dict.fromkeys(due, now)
        await asyncio.gather(*map(self._ask, due))

    async def _ask(self, pool: str) -> None:
        try:
            answer = await self._stub.AwaitPool(pool_demand_pb2.AwaitPoolRequest(pool=pool), timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            log.debug("the autoscaler cannot be asked", pool=pool, reason=error.details())
            return
        if answer.starts:
            took_s = None
            if answer.HasField("start_duration"):
                took_s = answer.start_duration.ToTimedelta().total_seconds()
            self._pools.pending[pool].starting(asyncio.get_running_loop().time(), LEASE_S, took_s)
