"""The RPCs of AlertService: convert, call, convert."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.identity import identity, model_not_found
from headrace_servicekit.loops import until

from headrace_monitor.alert import convert, paging
from headrace_monitor.alert.alerting import Alerting
from headrace_monitor.alert.decisions.values import AlertView


class AlertServicer(alert_pb2_grpc.AlertServiceServicer):
    """AlertService over its use cases. stopping: ends the watches."""

    def __init__(self, alerting: Alerting, feed: ChangeFeed[AlertView], stopping: asyncio.Event) -> None:
        self._alerting, self._feed, self._stopping = alerting, feed, stopping

    async def PutAlertRule(self, request, context):
        rule = await self._alerting.put_rule(convert.rule(request.rule), identity())
        return alert_pb2.PutAlertRuleResponse(rule=convert.to_rule(rule))

    async def ListAlertRules(self, request, context):
        rules = await self._alerting.rules(identity())
        return alert_pb2.ListAlertRulesResponse(rules=map(convert.to_rule, rules))

    async def DeleteAlertRule(self, request, context):
        await self._alerting.delete_rule(convert.rule_name(request.name, "name"), identity())
        return alert_pb2.DeleteAlertRuleResponse()

    async def ListAlerts(self, request, context):
        page, is_open = paging.page(request), convert.is_open(request.state)
        found = await self._alerting.alerts(
            identity(), before=page.before, model=convert.about(request.model), is_open=is_open, size=page.size + 1
        )
        return alert_pb2.ListAlertsResponse(
            alerts=map(convert.to_alert, found[: page.size]), next_page_token=page.token(found)
        )

    async def ResolveAlert(self, request, context):
        number = convert.number(request.name, "name", "alerts")
        alert = await self._alerting.resolve(number, identity())
        return alert_pb2.ResolveAlertResponse(alert=convert.to_alert(alert))

    async def SilenceAlerts(self, request, context):
        silence = await self._alerting.silence(convert.silence(request.silence, identity().client), identity())
        return alert_pb2.SilenceAlertsResponse(silence=convert.to_silence(silence))

    async def ListSilences(self, request, context):
        silences = await self._alerting.silences(identity())
        return alert_pb2.ListSilencesResponse(silences=map(convert.to_silence, silences))

    async def DeleteSilence(self, request, context):
        await self._alerting.end_silence(convert.number(request.name, "name", "silences"), identity())
        return alert_pb2.DeleteSilenceResponse()

    async def PutWebhook(self, request, context):
        webhook = await self._alerting.put_webhook(convert.webhook(request.webhook), identity())
        return alert_pb2.PutWebhookResponse(webhook=convert.to_webhook(webhook))

    async def ListWebhooks(self, request, context):
        webhooks = await self._alerting.webhooks(identity())
        return alert_pb2.ListWebhooksResponse(webhooks=map(convert.to_webhook, webhooks))

    async def DeleteWebhook(self, request, context):
        await self._alerting.delete_webhook(convert.webhook_name(request.name, "name"), identity())
        return alert_pb2.DeleteWebhookResponse()

    async def ReportAlerts(self, request, context):
        await self._alerting.report(convert.report(request))
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
