"""Webhooks on https: who is told is who the certificate says, and nothing is ever sent to anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from headrace_servicekit.outbox.authorities import Authorities
from headrace_servicekit.runtime import StartError
from headrace_servicekit.testing import eventually, free_port
from headrace_statistics.severity import Severity

from tests.kit.monitor.alerting import SECRET, Alerts, Receiver, alerting
from tests.kit.wire.certificates import Authority

OPENED, RESOLVED = "headrace.alert.opened", "headrace.alert.resolved"
SOON_S = 30.0
TLS_HANDSHAKE = 0x16


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        pytest.param("another authority", "unable to get local issuer certificate", id="of another authority"),
        pytest.param("expired", "certificate has expired", id="expired"),
        pytest.param("another host", "Hostname mismatch", id="of another host"),
    ],
)
async def test_a_receiver_with_a_wrong_certificate_is_told_nothing_until_it_has_a_right_one(
    postgres_url, tmp_path, authority, wrong, why
):
    other = Authority(tmp_path, "other")
    bad = (
        other.issue("bad")
        if wrong == "another authority"
        else authority.issue("bad", days=-1 if wrong == "expired" else 1)
    )
    host = "localhost" if wrong == "another host" else "127.0.0.1"
    async with alerting(postgres_url, webhook_ca_file=authority.ca) as alerts:
        async with Receiver.started(certificate=bad) as receiver:
            await alerts.put_webhook(receiver.url(host=host))
            await alerts.observe(alerts.looked(0, Severity.HIGH))
            told = await eventually(lambda: problem(alerts), within=SOON_S)
            assert why in (told or "")
            assert receiver.received == receiver.refused == []
        async with Receiver.started(
            receiver.port, certificate=authority.issue("good", hosts=["localhost"])
        ) as receiver:
            await eventually(lambda: receiver.types == [OPENED], within=SOON_S)
            assert "Headrace-Signature" in receiver.received[0].headers
        webhook = await alerts.webhook()
        assert SECRET not in str(webhook)


async def test_a_renewed_authority_counts_without_a_restart(postgres_url, tmp_path, authority):
    following = Authority(tmp_path, "following")
    file = tmp_path / "authorities.pem"
    file.write_bytes(authority.ca.read_bytes())
    async with (
        alerting(postgres_url, webhook_ca_file=file) as alerts,
        Receiver.started(certificate=following.issue("receiver")) as receiver,
    ):
        await alerts.put_webhook(receiver.url())
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        await eventually(lambda: problem(alerts), within=SOON_S)
        fresh = tmp_path / "authorities.fresh"
        fresh.write_bytes(authority.ca.read_bytes() + following.ca.read_bytes())
        fresh.rename(file)
        await eventually(lambda: receiver.types == [OPENED], within=SOON_S)


async def test_a_receiver_that_speaks_no_tls_sees_nothing_of_what_it_would_be_told(postgres_url):
    async with in_clear() as (port, seen), alerting(postgres_url) as alerts:
        await alerts.put_webhook(f"https://127.0.0.1:{port}/hook")
        await alerts.observe(alerts.looked(0, Severity.HIGH))
        # More than once: it is tried again, and never otherwise.
        await eventually(lambda: len(seen) >= 2, within=SOON_S)
        await eventually(lambda: problem(alerts), within=SOON_S)
        assert {one[0] for one in seen} == {TLS_HANDSHAKE}
        assert all(b"headrace" not in one and b"POST" not in one for one in seen)


@pytest.mark.parametrize(
    "content", [None, "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
async def test_authorities_that_cannot_be_read_are_said_at_the_start(postgres_url, tmp_path, content):
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises((StartError, ExceptionGroup), match="MONITOR_WEBHOOK_CA_FILE"):
        async with alerting(postgres_url, webhook_ca_file=file):
            pass


def test_a_file_that_becomes_unreadable_leaves_the_authorities_before(tmp_path, authority):
    file = tmp_path / "authorities.pem"
    file.write_bytes(authority.ca.read_bytes())
    authorities = Authorities(file)
    before = authorities.context()
    file.write_text("half a certificate")
    assert authorities.context() is before
    file.unlink()
    assert authorities.context() is before


async def problem(alerts: Alerts) -> str:
    """Return what went wrong last, once something did."""
    return (await alerts.webhook()).last_error


@asynccontextmanager
async def in_clear() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that answers HTTP in clear; yields its port, and what each connection has sent first."""
    seen: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(4096))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    port = free_port()
    server = await asyncio.start_server(take, "127.0.0.1", port)
    async with server:
        yield port, seen
