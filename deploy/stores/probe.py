"""Asks the store in this container for a sign of life: python probe.py valkey|s3. Exits 0 when it gives one, else 1.

It is started every few seconds, so it needs the standard library alone and imports little.
"""

import socket
import sys

TIMEOUT_S = 4.0
# Port, what is asked, how an answer begins. Refused for want of a password, Valkey is as alive as with one; while it
# loads its file it says LOADING.
ASKED = {
    "valkey": (6379, b"PING\r\n", (b"+PONG", b"-NOAUTH")),
    "s3": (8333, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", (b"HTTP/1.1 200",)),
}


def main(store: str) -> int:
    port, question, signs = ASKED[store]
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(question)
            answer = connection.recv(200)
    except OSError as error:
        answer = str(error).encode()
    if answer.startswith(signs):
        return 0
    sys.stderr.write(answer.partition(b"\r\n")[0].decode(errors="replace") + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
