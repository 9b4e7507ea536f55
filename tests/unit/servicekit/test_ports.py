"""Addresses that are listened on."""

import socket

import pytest
from headrace_servicekit.ports import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
def test_what_is_accepted_sends_at_once(host: str):
    with listening(host, 0) as server, socket.create_connection(server.getsockname()[:2]):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_taken_port_is_not_shared():
    with listening("127.0.0.1", 0) as server, pytest.raises(OSError, match="in use"):
        listening("127.0.0.1", server.getsockname()[1])
