"""Addresses behind a target, whose replicas may change while a process runs.

`file:PATH#NAME` reads the list under a name in a file (`name=host:port,host:port;…`), which the wheel stack rewrites
when it is scaled. A host name, as `dns:///name:port` or plainly, is all the addresses that it has. Any other gRPC
target is used unchanged.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from pathlib import Path
from typing import Protocol

_FILE = "file:"
_DNS = re.compile(r"dns:(?://[^/]*/)?")


class Endpoints(Protocol):
    """The replicas behind one target. every_s: how often to look, while there are calls."""

    every_s: float

    def first(self) -> frozenset[str] | None:
        """Return the addresses to begin with; None when gRPC finds them itself. Raises OSError, ValueError."""
        ...

    async def look(self) -> frozenset[str]:
        """Return the addresses as they are now. Raises OSError, ValueError."""
        ...

    def target(self, addresses: frozenset[str] | None) -> str:
        """Return the target of gRPC that stands for these addresses."""
        ...

    def needs_anew(self, known: frozenset[str], found: frozenset[str]) -> bool:
        """Return whether a channel to `known` must be reopened for the addresses found."""
        ...


class FileEndpoints:
    """What a file lists under a name."""

    every_s = 1.0

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def first(self) -> frozenset[str]:
        text = self._path.read_text(encoding="utf-8")
        listed = dict(entry.split("=", 1) for entry in text.strip().split(";") if "=" in entry)
        addresses = frozenset(filter(None, listed.get(self._name, "").split(",")))
        if not addresses:
            raise ValueError(f"{self._path} lists no replica of {self._name}")
        return addresses

    async def look(self) -> frozenset[str]:
        return self.first()  # a line of a local file

    def target(self, addresses: frozenset[str] | None) -> str:
        assert addresses
        joined = ",".join(sorted(addresses))
        return f"ipv4:{joined}" if len(addresses) > 1 else joined

    def needs_anew(self, known: frozenset[str], found: frozenset[str]) -> bool:
        return found != known


class NamedEndpoints:
    """All addresses of a host name.

    gRPC resolves a name again when it loses a connection: so it finds out itself that a replica is gone, and hears of
    no new one while all goes well.
    """

    every_s = 10.0

    def __init__(self, target: str, host: str, port: int) -> None:
        self._target, self._host, self._port = target, host, port

    def first(self) -> None:
        return None

    async def look(self) -> frozenset[str]:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return frozenset(str(address[0]) for *_, address in found)

    def target(self, addresses: frozenset[str] | None) -> str:
        return self._target

    def needs_anew(self, known: frozenset[str], found: frozenset[str]) -> bool:
        return not found <= known


def endpoints_of(target: str) -> Endpoints | None:
    """Return how to learn of a target's replicas; None for one whose replicas stay what they are."""
    if target.startswith(_FILE):
        path, _, name = target.removeprefix(_FILE).rpartition("#")
        return FileEndpoints(Path(path), name)
    host, _, port = _DNS.sub("", target, count=1).rpartition(":")
    if not host or not port.isdigit() or "," in host or ":" in host.strip("[]") or "/" in host:
        return None  # not one name and a port: another scheme, or several addresses
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return NamedEndpoints(target, host, int(port))
    return None


def present_target(target: str) -> str:
    """Return the target of gRPC that a target stands for at present. Raises OSError, ValueError."""
    endpoints = endpoints_of(target)
    return target if endpoints is None else endpoints.target(endpoints.first())
