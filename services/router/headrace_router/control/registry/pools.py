"""Telling the registry which pools of batchers there are, so that nothing is promoted that none of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.peers import Peer

from headrace_router.control.decisions.readiness import formats_by_pool
from headrace_router.control.state.view import View

CALL_S = 2.0
LOOK_EVERY_S = 5.0
# Repeated though nothing changed: the registry may have been restored, or another control plane may have seen less.
REPEAT_AFTER = timedelta(seconds=60)
PAUSE_S, MAX_RETRY_S = 0.5, 10.0


class PoolReports:
    """`run` for as long as the control plane lives."""

    def __init__(self, view: View, channel: Any, clock: Clock) -> None:
        self._view, self._clock = view, clock
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._reported: Mapping[str, frozenset[int]] = {}
        self._repeat_at = clock.now()

    async def run(self) -> None:
        """Report for ever; without the registry, later."""
        registry = Peer("registry", every_s=PAUSE_S, max_backoff_s=MAX_RETRY_S, clock=self._clock, call="pools")
        while True:
            count = self._view.changed.count
            await registry.call(self.turn)
            await registry.pause()
            await self._view.changed.after(count, LOOK_EVERY_S)

    async def turn(self) -> None:
        """Report once if it is due. Without any batcher nothing is known, and what was reported stays."""
        now = self._clock.now()
        live = [report for report in self._view.mirror.reports.values() if report.expires_at > now]
        pools = formats_by_pool(live)
        if not pools or (pools == self._reported and now < self._repeat_at):
            return
        request = registry_pb2.ReportPoolsRequest()
        for name, formats in pools.items():
            request.pools.add(name=name, formats=[registry_pb2.Format.Name(one) for one in sorted(formats)])
        await self._stub.ReportPools(request, timeout=CALL_S)
        self._reported, self._repeat_at = pools, now + REPEAT_AFTER
