"""A webhook reaches nothing inside: not when it is put, not when it is told, not by name, not by a redirect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
from headrace_servicekit.testing import eventually
from headrace_statistics.severity import Severity

from tests.kit.clients import refusals
from tests.kit.deployment import topology
from tests.kit.monitor.alerting import SECRET, Alerts, Receiver, alerting

SOON_S = 20.0
# A loopback address of its own for what is allowed.
RELAY = "127.0.0.77"
HOSTS = ("127.0.0.1", "localhost", "localhost.", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "0.0.0.0")

# As an earlier release kept it, which judged URLs otherwise.
KEPT = """
insert into webhooks (name, url, secret, format, at_least, model, retrain_only)
values ('hook', $1, $2, 'cloud_event', 0, '', false)
"""


async def test_no_port_of_the_topology_can_be_named(postgres_url):
    async with alerting(postgres_url, webhook_allow="") as alerts:
        for service in topology.services().values():
            for port in service.ports.values():
                for host in (*HOSTS, service.name):
                    for scheme in ("http", "https"):
                        told = await refused(alerts, f"{scheme}://{host}:{port}/drain_listeners")
                        assert "MONITOR_WEBHOOK_ALLOW" in told, (host, port)


@pytest.mark.long
async def test_what_was_kept_before_is_judged_when_it_is_told_and_nobody_is_connected_to(postgres_url):
    async with inside() as (port, connected), alerting(postgres_url, webhook_allow=RELAY) as alerts:
        for host in HOSTS:
            async with alerts.database.transaction() as connection:
                await connection.execute("delete from webhooks")
                await connection.execute(KEPT, f"http://{host}:{port}/drain_listeners", SECRET)
            await alerts.observe(alerts.looked(0, Severity.HIGH, version=f"v{HOSTS.index(host)}"))
            problem = await eventually(lambda: last_error(alerts), within=SOON_S)
            assert "MONITOR_WEBHOOK_ALLOW" in problem, host
        assert connected == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_receiver_that_is_allowed_cannot_send_it_inside(postgres_url, status):
    async with (
        inside() as (port, connected),
        Receiver.started(host=RELAY) as receiver,
        alerting(postgres_url, webhook_allow=RELAY) as alerts,
    ):
        receiver.status = status
        receiver.headers = {"Location": f"http://127.0.0.1:{port}/drain_listeners"}
        await alerts.put_webhook(receiver.url())
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        await eventually(lambda: len(receiver.refused) >= 2, within=SOON_S)
        assert "redirects are not followed" in await last_error(alerts)
        assert connected == []


async def test_what_the_operator_names_is_told_there_and_nowhere_beside_it(postgres_url):
    async with Receiver.started() as receiver, inside() as (port, connected):
        async with alerting(postgres_url, webhook_allow=f"127.0.0.1:{receiver.port}") as alerts:
            await refused(alerts, f"http://127.0.0.1:{port}/")
            await alerts.put_webhook(receiver.url())
            await alerts.observe(alerts.looked(0, Severity.HIGH))
            await eventually(lambda: receiver.types, within=SOON_S)
        assert connected == []


async def test_a_connection_of_the_monitors_process_would_be_seen():
    async with inside() as (port, connected):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await eventually(lambda: connected, within=5)
        writer.close()
        await writer.wait_closed()


async def refused(alerts: Alerts, url: str) -> str:
    """Put a webhook that must be refused by its URL, and return why."""
    error = await refusals.refused(alerts.put_webhook(url))
    assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "WEBHOOK_INVALID"), url
    (violation,) = error.violations
    assert violation.field == "webhook.url"
    return violation.description


async def last_error(alerts: Alerts) -> str:
    """Return what went wrong last, once something did."""
    return (await alerts.webhook()).last_error


@asynccontextmanager
async def inside() -> AsyncIterator[tuple[int, list[str]]]:
    """Listen as something inside does; yields its port, and who has connected."""
    connected: list[str] = []

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        # The port may have been another test's, whose callers still try it: the monitor runs in this process.
        if any(one.laddr == peer for one in psutil.Process().net_connections("tcp")):
            connected.append(str(peer))
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], connected
