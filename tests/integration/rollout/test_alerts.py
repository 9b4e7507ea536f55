"""Alerts that ask for a freeze, from the monitor's own AlertService."""

from __future__ import annotations

import asyncio

from headrace.monitor.v1 import alert_pb2
from headrace_rollout.alerts import FreezeAlerts
from headrace_servicekit import client
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

from tests.kit.alerting import alerting


async def test_an_alert_with_freeze_is_known_until_it_is_over(postgres_url: str):
    async with alerting(postgres_url) as alerts:
        target = alerts.runtime.servers[0].address
        async with client.channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            freezing = FreezeAlerts(channel, SystemClock())
            following = asyncio.create_task(freezing.run())
            try:
                await alerts.put_rule("stop", model="fraud", signal="drift", at_least=4, freeze=True)
                await alerts.put_rule("tell", model="calm", signal="drift", at_least=4)
                found = [alerts.looked(0, Severity.HIGH, model=model) for model in ("fraud", "calm")]
                await alerts.observe(*found)
                await eventually(lambda: freezing.of("fraud"), within=20)
                assert freezing.of("fraud")[0].startswith("stop: ")
                assert freezing.of("fraud", signal="drift") == freezing.of("fraud")
                assert freezing.of("fraud", signal="error_rate") == ()
                assert freezing.of("calm") == ()
                (one,) = [one for one in await alerts.alerts() if one.model == "fraud" and one.freeze]
                await alerts.stub.ResolveAlert(alert_pb2.ResolveAlertRequest(name=one.name), timeout=10)
                await eventually(lambda: freezing.of("fraud") == (), within=20)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
