"""The RPCs of AlertService: convert, call, convert."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_servicekit.coordination.feeds import ChangeFeed
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.identity import identity, model_not_found
from headrace_servicekit.loops import until
from headrace_servicekit.resource_names import invalid

from headrace_monitor.alert import convert
from headrace_monitor.alert.alerts import Alerts
from headrace_monitor.alert.decisions.values import AlertView

DEFAULT_SIZE = 50
MAX_SIZE = 1000
_MAX_TOKEN_CHARS = 512


class AlertServicer(alert_pb2_grpc.AlertServiceServicer):
    """AlertService over its use cases. stopping: ends the watches."""

    def __init__(self, alerts: Alerts, feed: ChangeFeed[AlertView], stopping: asyncio.Event) -> None:
        self._alerts, self._feed, self._stopping = alerts, feed, stopping

    async def ListAlerts(self, request, context):
        page, is_open = page_of(request), convert.is_open(request.state)
        found = await self._alerts.alerts(
            identity(), before=page.before, model=convert.about(request.model), is_open=is_open, size=page.size + 1
        )
        return alert_pb2.ListAlertsResponse(
            alerts=map(convert.to_alert, found[: page.size]), next_page_token=page.token(found)
        )

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


@dataclass(frozen=True, slots=True)
class Page:
    """Alerts, the latest first. query: what the token belongs to. before: id that the page begins below, if any."""

    query: tuple[str, int]
    size: int
    before: int | None

    def token(self, found: Sequence[AlertView]) -> str:
        """Return the token of the next page, when more was found than the page holds."""
        if len(found) <= self.size:
            return ""
        text = json.dumps([*self.query, found[self.size - 1].alert.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def page_of(request: alert_pb2.ListAlertsRequest) -> Page:
    """Return the requested page. Raises InvalidArgument."""
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size} is negative; 0 means {DEFAULT_SIZE}")
    query = (request.model, request.state)
    size = min(request.page_size or DEFAULT_SIZE, MAX_SIZE)
    return Page(query, size, _before(request.page_token, query))


def _before(token: str, query: tuple[str, int]) -> int | None:
    if not token:
        return None
    if len(token) <= _MAX_TOKEN_CHARS and token.isascii():
        try:
            decoded = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            decoded = None
        match decoded:
            case [str(model), int(state), int(before)] if (model, state) == query and 0 <= before < 2**63:
                return before
    raise invalid("page_token", "is not a token of this query; begin again with an empty one")
