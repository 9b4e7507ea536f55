"""What health checks are made of: one HTTP exchange, and whether a port takes connections.

The supervisor uses neither an HTTP library nor gRPC: it stays small, quick to start and without threads.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from headrace_stack.ports import HOST, Port


async def exchange(
    method: str, place: Port | Path, path: str, headers: Mapping[str, str], body: bytes = b"", timeout_s: float = 3
) -> tuple[int, bytes]:
    """Send one HTTP request and return status and body. Raises OSError or TimeoutError when there is no answer.

    place: a port, or a Unix socket.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    async with asyncio.timeout(timeout_s):
        if isinstance(place, Path):
            reader, writer = await asyncio.open_unix_connection(place)
        else:
            reader, writer = await asyncio.open_connection(HOST, place.number)
        try:
            writer.write(head.encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
    answer_head, _, answer_body = answer.partition(b"\r\n\r\n")
    parts = answer_head.split(maxsplit=2)
    if len(parts) < 2:
        raise ConnectionError("the connection was closed without an answer")
    return int(parts[1]), answer_body


def what(error: BaseException) -> str:
    """Say what went wrong; a time-out has no words of its own."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


async def missing_http(port: Port, path: str) -> str | None:
    """Return None when the path answers 200, else what it said instead."""
    try:
        status, body = await exchange("GET", port, path, {"host": port.address})
    except (OSError, TimeoutError) as error:
        return f"port {port.number}: {what(error)}"
    return None if status == 200 else f"{path}: HTTP {status} {body.decode(errors='replace').strip()[:300]}"


async def missing_listener(port: Port, timeout_s: float = 2) -> str | None:
    """Return None when the port takes connections."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(HOST, port.number)
    except (OSError, TimeoutError) as error:
        return f"port {port.number}: {what(error)}"
    writer.close()
    return None
