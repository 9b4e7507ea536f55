"""Where the front door is, and whether the way there is encrypted."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from headrace_client.errors import invalid


@dataclass(frozen=True, slots=True)
class Address:
    """A front door: `host`, `port`, and `tls` for an encrypted connection."""

    host: str
    port: int
    tls: bool

    @property
    def target(self) -> str:
        """Return host:port as gRPC takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL that curl takes."""
        return f"{'https' if self.tls else 'http'}://{self.target}"

    @property
    def loopback(self) -> bool:
        """Return whether the address is on this machine."""
        return is_loopback(self.host)


def parse_address(text: str, *, ca_given: bool = False) -> Address:
    """Return the address that `host`, `host:port`, `http://host[:port]` or `https://host[:port]` names.

    `http://` is plain text and `https://` is TLS for any host. Without a scheme it is plain text on this machine, and
    TLS elsewhere or when a CA is given: a token crosses a network in clear only if the address says so. Raises
    InvalidArgument naming the address.
    """
    explicit = "://" in text
    try:
        parts = urlsplit(text if explicit else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise invalid("address", f"'{text}': {error}") from error
    if explicit and parts.scheme not in ("http", "https"):
        raise invalid("address", f"'{text}' has scheme '{parts.scheme}'; use http:// or https://")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise invalid("address", f"'{text}' has more than host and port; use host:port or https://host:port")
    if not host:
        raise invalid("address", f"'{text}' names no host; use host:port, such as 127.0.0.1:8080")
    tls = parts.scheme == "https" if explicit else ca_given or not is_loopback(host)
    if port is None:
        port = (443 if tls else 80) if explicit else 8080
    return Address(host, port, tls)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
