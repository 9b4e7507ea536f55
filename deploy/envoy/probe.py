"""Asks the front door in this container whether it passes predictions on; exits 0 when it does, 1 when not.

It is started every few seconds, so it needs the standard library alone and imports little.
"""

import os
import socket
import ssl
import sys

TIMEOUT_S = 4.0
ASKED = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def problem(port: int, *, tls: bool) -> str | None:
    """Return None when `/healthz` answers 200, else what it said instead. Raises OSError when there is no answer."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        plain = _encrypted(connection) if tls else connection
        plain.sendall(ASKED)
        head = plain.recv(1024).partition(b"\r\n")[0].decode(errors="replace")
    return None if head.split(" ")[1:2] == ["200"] else head


def _encrypted(connection: socket.socket) -> socket.socket:
    context = ssl.create_default_context()
    # It asks how, not who: what it talks to is its own neighbour.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def main() -> int:
    """Say in one line what is wrong; return the exit code."""
    try:
        fault = problem(int(os.environ.get("FRONT_DOOR_PORT", "8080")), tls=bool(os.environ.get("FRONT_DOOR_TLS_CERT")))
    except OSError as error:
        fault = str(error)
    if fault is not None:
        sys.stderr.write(fault + "\n")
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main())
