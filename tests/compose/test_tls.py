"""The overlay for TLS on the published port, in an installation of its own; a renewed certificate is taken up."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from headrace_client import Client, HeadraceError
from headrace_servicekit.testing import eventually, free_port

from tests.kit.deployment.containers import Installation
from tests.kit.wire.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    folder = tmp_path / "tls"
    folder.mkdir()
    return Authority(folder)


@pytest.fixture
def encrypted(images: dict[str, str], authority: Authority, tmp_path: Path) -> Iterator[Installation]:
    issue(authority)
    variables = {"HEADRACE_TLS_DIR": str(authority.ca.parent)}
    name = f"headrace-test-tls-{os.getpid()}"
    made = Installation(name, free_port(), tmp_path / "home", ("docker-compose.tls.yml",), variables)
    try:
        made.up()
        yield made
    finally:
        made.down("--volumes")
        assert made.left_behind() == []


def issue(authority: Authority) -> int:
    """Renew the certificate, readable by the containers' user; return its serial number."""
    pem = authority.issue("tls")
    for path in (pem.key, pem.cert):
        path.chmod(0o644)
    for folder in (pem.cert.parent, *pem.cert.parent.parents[:3]):
        folder.chmod(0o755)
    return x509.load_pem_x509_certificate(pem.cert.read_bytes()).serial_number


def seen(installation: Installation, authority: Authority) -> int:
    """Return the serial number of the certificate that a new connection is met with."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    with (
        socket.create_connection(("127.0.0.1", installation.port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


async def test_callers_are_met_with_tls_and_a_renewed_certificate_without_a_restart(
    encrypted: Installation, authority: Authority
):
    stack = encrypted.stack()
    before = encrypted.containers()["front-door-1"]["State"]["StartedAt"]
    address = f"https://127.0.0.1:{encrypted.port}"
    with Client(address, token=stack.token(), ca=str(authority.ca)) as client:
        assert client.models.list() == []
    with (
        Client(f"http://127.0.0.1:{encrypted.port}", token=stack.token()) as in_the_clear,
        pytest.raises(HeadraceError) as refused,
    ):
        in_the_clear.models.list()
    assert refused.value.code.name == "UNAVAILABLE"
    renewed = issue(authority)
    await eventually(lambda: seen(encrypted, authority) == renewed, within=20, every=0.2)
    with Client(address, token=stack.token(), ca=str(authority.ca)) as client:
        assert client.models.list() == []
    assert encrypted.containers()["front-door-1"]["State"]["StartedAt"] == before
