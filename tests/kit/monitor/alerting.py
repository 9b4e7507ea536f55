"""Alerting for tests: AlertService with its loops on a real database, and a real HTTP server that webhooks lead to.

async with alerting(postgres_url) as alerts, Receiver.started() as receiver:
    await alerts.put_webhook(receiver.url("/hook"))
    await alerts.observe(Observation(…))
    ... receiver.received ...
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aiohttp import web
from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_monitor.alert.observations import Observation, Observations
from headrace_monitor.alert.wiring import start_alerts
from headrace_monitor.judge.experiments.notices import event_in as experiment_event
from headrace_monitor.settings import MonitorSettings
from headrace_monitor.storage import schema
from headrace_monitor.storage.schema import Database
from headrace_servicekit import client
from headrace_servicekit.postgres.connections import Address
from headrace_servicekit.runtime import Runtime
from headrace_servicekit.testing import running
from headrace_statistics.severity import Severity

from tests.kit.wire.certificates import Pem

SECRET = "a key of sixteen or more"
# Where receivers of tests are, which webhooks reach only because it is allowed.
ALLOWED = "127.0.0.0/8, localhost"


def looked(
    begin: datetime, minute: int, severity: Severity, *, model: str = "fraud", version: str = "v1"
) -> Observation:
    """Return what a look of one minute at the drift of a version found, so many minutes after `begin`."""
    start = begin + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    summary = f"PSI of country is 0.3 at {minute}"
    return Observation(model, version, "drift", start, end, 0.3 * severity, severity, summary, rows=500)


@dataclass(frozen=True, slots=True)
class Received:
    """One POST."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """An HTTP server. status: what it answers. received: what it has answered 2xx; refused: the rest.

    scheme: `https` with a certificate.
    """

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    refused: list[Received] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def started(
        cls, port: int = 0, *, host: str = "127.0.0.1", certificate: Pem | None = None
    ) -> AsyncIterator[Self]:
        """Run one on a port, a free one unless told. certificate: speak TLS and show it."""
        receiver = cls(host=host, scheme="http" if certificate is None else "https")
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", receiver._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
        site = web.TCPSite(runner, host, port, ssl_context=context)
        await site.start()
        receiver.port = runner.addresses[0][1]
        try:
            yield receiver
        finally:
            await runner.cleanup()

    def url(self, path: str = "/hook", *, host: str | None = None) -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"

    @property
    def types(self) -> list[str]:
        """Return the types of the CloudEvents that were received, in order."""
        return [one.json["type"] for one in self.received]

    async def _take(self, request: web.Request) -> web.Response:
        one = Received(request.path, dict(request.headers), await request.read())
        (self.received if self.status < 300 else self.refused).append(one)
        return web.Response(status=self.status, headers=self.headers)


@dataclass(slots=True)
class Alerts:
    """Alerting on a database. stub: of AlertService, as an internal caller. begin: when observations begin."""

    stub: Any
    database: Database
    runtime: Runtime[MonitorSettings]
    begin: datetime = field(default_factory=lambda: datetime.now(UTC).replace(second=0, microsecond=0))

    def looked(self, minute: int, severity: Severity, **about: str) -> Observation:
        """Return what a look found, so many minutes after this began. about: model, version."""
        return looked(self.begin, minute, severity, **about)

    async def observe(self, *observations: Observation) -> None:
        """Put observations as the other parts of the monitor do."""
        async with self.database.transaction() as connection:
            await Observations.put(connection, observations)

    async def put_webhook(self, url: str, name: str = "hook", **fields: Any) -> alert_pb2.Webhook:
        """Make a webhook; fields are those of Webhook."""
        webhook = alert_pb2.Webhook(name=f"webhooks/{name}", url=url, **{"secret": SECRET, **fields})
        answer = await self.stub.PutWebhook(alert_pb2.PutWebhookRequest(webhook=webhook), timeout=10)
        return answer.webhook

    async def put_rule(self, name: str, **fields: Any) -> alert_pb2.AlertRule:
        """Make a rule; fields are those of AlertRule."""
        rule = alert_pb2.AlertRule(name=f"alertRules/{name}", **fields)
        return (await self.stub.PutAlertRule(alert_pb2.PutAlertRuleRequest(rule=rule), timeout=10)).rule

    async def alerts(self, **fields: Any) -> list[alert_pb2.Alert]:
        """Return a page of alerts; fields are those of ListAlertsRequest."""
        return list((await self.stub.ListAlerts(alert_pb2.ListAlertsRequest(**fields), timeout=10)).alerts)

    async def webhook(self) -> alert_pb2.Webhook:
        """Return the one webhook that there is."""
        (webhook,) = (await self.stub.ListWebhooks(alert_pb2.ListWebhooksRequest(), timeout=10)).webhooks
        return webhook


@asynccontextmanager
async def alerting(postgres_url: str, **settings: Any) -> AsyncIterator[Alerts]:
    """Run AlertService and its loops. settings: fields of MonitorSettings; webhooks may be on loopback unless told."""
    made = MonitorSettings(
        database_url=postgres_url,
        s3_endpoint="http://127.0.0.1:1",
        registry_target="127.0.0.1:1",
        **{
            "port": 0,
            "drain_notice_s": 0.0,
            "grace_s": 2.0,
            "webhook_retry_s": 0.2,
            "webhook_allow": ALLOWED,
            **settings,
        },
    )
    databases: list[Database] = []

    async def start(runtime: Runtime[MonitorSettings]) -> None:
        database = await runtime.enter(Database(Address(postgres_url), size=5))
        databases.append(database)

        runtime.migrated(database)
        runtime.check("postgres", lambda: schema.check(database))
        await start_alerts(runtime, runtime.server(), database, experiment_event)

    async with running("monitor", made, start) as runtime:
        target = runtime.servers[0].address
        async with client.channel(target) as channel:
            yield Alerts(alert_pb2_grpc.AlertServiceStub(channel), databases[0], runtime)
