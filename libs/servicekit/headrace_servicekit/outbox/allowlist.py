"""The operator's list of where webhooks may be besides the public internet. Pure functions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from headrace_servicekit.outbox.addresses import Address, Network, literal, plain

_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Allowed:
    """names and networks, each with its port; None for every port."""

    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[Network, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Read `host`, `host:port`, an address likewise, `[v6]:port` and CIDRs, with commas between them.

        Raises ValueError that names the entry.
        """
        names: set[tuple[str, int | None]] = set()
        networks: list[tuple[Network, int | None]] = []
        for entry in filter(None, map(str.strip, text.split(","))):
            found, port = _parsed(entry)
            if isinstance(found, str):
                names.add((found, port))
            else:
                networks.append((found, port))
        return cls(frozenset(names), tuple(networks))

    def name(self, host: str, port: int) -> bool:
        """Return whether a host is allowed by its name, wherever it leads."""
        return not self.names.isdisjoint({(bare(host), port), (bare(host), None)})

    def address(self, address: Address, port: int) -> bool:
        """Return whether an address is allowed."""
        address = plain(address)
        return any(only in (None, port) and address in network for network, only in self.networks)


def bare(host: str) -> str:
    """Return a name as it is compared: in lower case, without the dot of the root."""
    return host.removesuffix(".").lower()


def _parsed(entry: str) -> tuple[str | Network, int | None]:
    try:
        if "/" in entry:
            return ipaddress.ip_network(entry), None
        host, port = _split(entry)
        address = literal(host)
    except ValueError as error:
        raise ValueError(f"{entry!r} is no host, host:port or CIDR: {error}") from None
    if address is not None:
        return ipaddress.ip_network(plain(address)), port
    if _NAME.fullmatch(bare(host)) is None:
        raise ValueError(f"{entry!r} is no host, host:port or CIDR")
    return bare(host), port


def _split(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if entry.startswith("[") and entry.endswith("]"):
        return entry[1:-1], None
    if not colon or (":" in host and not host.startswith("[")):  # no port, or an IPv6 address without brackets
        return entry, None
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("the port must be between 1 and 65535")
    return host.removeprefix("[").removesuffix("]"), int(port)


_RESOLVER = re.compile(r"(?:dns|ipv4|ipv6|unix|unix-abstract):(?:/*)")


def hosts(places: Iterable[str]) -> frozenset[str]:
    """Return the hosts of URLs and of gRPC's targets, as they are named."""
    return frozenset(bare(host) for place in places for host in _of(place))


def _of(place: str) -> Iterator[str]:
    """Yield the hosts of a URL or of gRPC's targets, which may be several with commas."""
    if place.startswith("unix"):
        return
    scheme, slashes, rest = place.partition("://")
    if not slashes or _RESOLVER.match(f"{scheme}:"):
        rest = _RESOLVER.sub("", place, count=1).rpartition("/")[2]
    for part in rest.partition("/")[0].rpartition("@")[2].split(","):
        if host := urlsplit(f"//{part}").hostname:
            yield host
