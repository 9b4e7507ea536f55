"""The RPCs of AlertService: convert, call, convert."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_servicekit import pages
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.identity import identity, model_not_found
from headrace_servicekit.loops import until

from headrace_monitor.alert import convert
from headrace_monitor.alert.alerts import Alerts
from headrace_monitor.alert.decisions.values import AlertView


class AlertServicer(alert_pb2_grpc.AlertServiceServicer):
    """AlertService over its use cases. stopping: ends the watches."""

    def __init__(self, alerts: Alerts, feed: ChangeFeed[AlertView], stopping: asyncio.Event) -> None:
        self._alerts, self._feed, self._stopping = alerts, feed, stopping

    async def ListAlerts(self, request, context):
        size, query = pages.page_size(request.page_size), (request.model, request.state)
        before: Any = pages.last_of(request.page_token, query, int)
        model, is_open = convert.about(request.model), convert.is_open(request.state)
        found = await self._alerts.alerts(identity(), before=before, model=model, is_open=is_open, size=size + 1)
        token = pages.token_of(query, found[size - 1].alert.id) if len(found) > size else ""
        return alert_pb2.ListAlertsResponse(alerts=map(convert.to_alert, found[:size]), next_page_token=token)

    async def ResolveAlert(self, request, context):
        number = convert.number(request.name, "name", "alerts")
        alert = await self._alerts.resolve(number, identity())
        return alert_pb2.ResolveAlertResponse(alert=convert.to_alert(alert))

    async def ReportAlerts(self, request, context):
        await self._alerts.report(convert.report(request))
        return alert_pb2.ReportAlertsResponse()

    async def WatchAlerts(self, request, context):
        caller, model = identity(), convert.about(request.model)
        if model and not caller.sees(model):
            raise model_not_found(model)

        def concerns(one: AlertView) -> bool:
            about = one.alert.key.model
            return model in ("", about) and caller.sees(about)

        watched: Any = until(self._stopping, self._feed.watch(None, concerns))
        async with aclosing(watched) as seen:
            async for one in seen:
                if one.state is None:
                    yield alert_pb2.WatchAlertsResponse(snapshot_end=True)
                else:
                    yield alert_pb2.WatchAlertsResponse(alert=convert.to_alert(one.state))
        raise Unavailable("the monitor is stopping: watch again", reason="STOPPING", retry_after_s=0.5)
