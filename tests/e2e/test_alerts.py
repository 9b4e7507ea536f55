"""Alerts as a user meets them: rules and webhooks through the front door, predictions, and a real HTTP receiver."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import metadata
from tests.kit.monitor.alerting import SECRET, Received, Receiver
from tests.kit.stack.running import RECEIVERS
from tests.kit.stack.served_models import LINEAR, ROW, Served, request

# What minutes were like is told when they are over: most of the time is waiting for the end of one.
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

OPENED, RESOLVED = "headrace.alert.opened", "headrace.alert.resolved"
MINUTE_S = 150.0
SOON_S = 30.0


async def test_rules_raise_alerts_that_are_streamed_told_silenced_and_resolved_through_the_front_door(served: Served):
    told, quiet = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("told", "quiet"))
    async with (
        Receiver.started(host=RECEIVERS) as receiver,
        grpc.aio.insecure_channel(served.stack.address) as channel,
        watching(channel, served) as seen,
        predicting(served),
    ):
        stub: Any = alert_pb2_grpc.AlertServiceStub(channel)
        bearer = metadata(served.stack.token())
        # One by REST, one by gRPC. Every answer takes longer than nothing, so both hold.
        body = {"model": LINEAR, "signal": "latency_p99_us", "above": 0, "window": "60s", "freeze": True}
        ok(served, "PUT", f"/v1/alertRules/{told}", body)
        rule = alert_pb2.AlertRule(name=f"alertRules/{quiet}", model=LINEAR, signal="latency_p99_us", above=0)
        await stub.PutAlertRule(alert_pb2.PutAlertRuleRequest(rule=rule), metadata=bearer, timeout=20)
        hook = {"url": receiver.url(), "secret": SECRET, "model": LINEAR, "at_least": "SEVERITY_LOW"}
        ok(served, "PUT", f"/v1/webhooks/{told}", hook)
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        silence = ok(served, "POST", "/v1/silences", {"model": LINEAR, "rule": quiet, "expire_time": until})["silence"]
        try:
            await eventually(lambda: events(receiver, told) == [OPENED], within=MINUTE_S, every=0.2)
            (message, *_) = [one for one in receiver.received if one.json["data"]["rule"] == told]
            assert signed(message)
            assert (message.json["data"]["model"], message.json["data"]["freeze"]) == (LINEAR, True)
            await eventually(lambda: states(seen, told) == ["STATE_OPEN"], within=SOON_S)

            # The other one is raised and shown, and nobody is told.
            await eventually(lambda: silenced(served, quiet) == [True], within=SOON_S, every=0.2)
            assert events(receiver, quiet) == []
            ok(served, "DELETE", f"/v1/{silence['name']}")
            await eventually(lambda: events(receiver, quiet) == [OPENED], within=SOON_S)
            assert silenced(served, quiet) == [False]

            ok(served, "POST", f"/v1/{message.json['subject']}:resolve", {})
            await eventually(lambda: events(receiver, told) == [OPENED, RESOLVED], within=SOON_S)
            await eventually(lambda: states(seen, told)[-1] == "STATE_RESOLVED", within=SOON_S)
            # Its rule gone, an alert is over.
            ok(served, "DELETE", f"/v1/alertRules/{quiet}")
            await eventually(lambda: events(receiver, quiet) == [OPENED, RESOLVED], within=SOON_S)
            assert all(signed(one) for one in receiver.received)
            hooks = {one["name"]: one for one in ok(served, "GET", "/v1/webhooks")["webhooks"]}
            assert hooks[f"webhooks/{told}"]["last_error"] == ""
        finally:
            for resource in (f"alertRules/{told}", f"alertRules/{quiet}", f"webhooks/{told}", silence["name"]):
                ok(served, "DELETE", f"/v1/{resource}")


@contextlib.asynccontextmanager
async def predicting(served: Served) -> AsyncIterator[None]:
    """Ask for a prediction ten times a second until the block ends."""

    async def go_on() -> None:
        while True:
            await asyncio.to_thread(served.predict, request(LINEAR, features=ROW))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def watching(channel: grpc.aio.Channel, served: Served) -> AsyncIterator[list[alert_pb2.Alert]]:
    """Watch the model's alerts until the block ends; yields what was streamed, the marker as an empty one."""
    stub: Any = alert_pb2_grpc.AlertServiceStub(channel)
    message = alert_pb2.WatchAlertsRequest(model=LINEAR)
    call = stub.WatchAlerts(message, metadata=metadata(served.stack.token()), timeout=600)
    seen: list[alert_pb2.Alert] = []

    async def follow() -> None:
        async for one in call:
            seen.append(one.alert)  # noqa: PERF401  (it grows while others look at it)

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        call.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ok(served: Served, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON of an answer."""
    response = served.rest(verb, path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def events(receiver: Receiver, rule: str) -> list[str]:
    """Return what was told of a rule's alerts, in order, each delivery once."""
    by_delivery = {one.headers["Headrace-Delivery"]: one.json for one in receiver.received}
    return [one["type"] for one in by_delivery.values() if one["data"]["rule"] == rule]


def states(seen: list[alert_pb2.Alert], rule: str) -> list[str]:
    """Return the states of a rule's alert as they were streamed; one that came twice counts once."""
    names = [alert_pb2.Alert.State.Name(one.state) for one in seen if one.rule == rule]
    return list(dict.fromkeys(names))


def silenced(served: Served, rule: str) -> list[bool]:
    """Return of each open alert of a rule whether it is silenced."""
    alerts = ok(served, "GET", f"/v1/alerts?model={LINEAR}&state=STATE_OPEN")["alerts"]
    return [one["silenced"] for one in alerts if one["rule"] == rule]


def signed(message: Received) -> bool:
    """Whether a message is signed as docs/alerts.md says."""
    parts = dict(part.split("=", 1) for part in message.headers["Headrace-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + message.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"])
