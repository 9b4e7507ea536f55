"""Where webhooks may be: https anywhere, http within the own network, and never where clouds keep credentials."""

from __future__ import annotations

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

MAX_URL_CHARS = 2048

Address = IPv4Address | IPv6Address

# What clouds answer questions about a machine at, credentials among them, beside the link-local addresses.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?")


class RefusedError(OSError):
    """A destination is none that a webhook may have; the text says why, without the URL's path."""


def check_url(url: str) -> None:
    """Raise RefusedError for a URL that no webhook may have, as far as that shows without resolving its name."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedError(f"must be at most {MAX_URL_CHARS} printable ASCII characters, and whole")
    parts = _split(url)
    if parts.scheme not in ("http", "https"):
        raise RefusedError("must begin with https://, or with http:// for a loopback or private address")
    if parts.username is not None or parts.password is not None:
        raise RefusedError("must not hold a name or password; use the secret, which signs what is sent")
    if parts.fragment:
        raise RefusedError("must not have a fragment (#…)")
    host = parts.hostname or ""
    if host.rstrip(".").lower() in _METADATA_NAMES:
        raise RefusedError("is the metadata service of a cloud, which no webhook may call")
    address = literal(host)
    if address is not None:
        check_address(address, parts.scheme)
    elif _HOST.fullmatch(host) is None:
        raise RefusedError("must name a host")


def literal(host: str) -> Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_address(address: Address, scheme: str) -> None:
    """Raise RefusedError for an address that a webhook may not be at."""
    address = _plain(address)
    if address.is_link_local or address in _METADATA:
        raise RefusedError(f"{address} is where clouds keep the credentials of machines: no webhook may call it")
    if address.is_unspecified or address.is_multicast or (address.is_reserved and not address.is_loopback):
        raise RefusedError(f"{address} is no address of one host")
    if scheme == "http" and not (address.is_loopback or address.is_private):
        raise RefusedError(f"{address} is a public address: use https")


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


class GuardedResolver(AbstractResolver):
    """Resolves names for one scheme, and refuses addresses at the moment of connecting: a name may change its mind."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for one in found:
            check_address(ipaddress.ip_address(one["host"].partition("%")[0]), self._scheme)
        return found

    async def close(self) -> None:
        await self._names.close()


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: of Slack and its like the path is the password."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.netloc}/…" if parts.path not in ("", "/") or parts.query else url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _: Any = parts.port  # raises for what is none
    except ValueError:
        raise RefusedError("is not a URL") from None
    return parts
