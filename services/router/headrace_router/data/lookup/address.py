"""Where a Valkey is, as settings say it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """tls: whether to speak TLS. user: empty for the default one."""

    host: str
    port: int
    database: int = 0
    user: str = ""
    tls: bool = False

    def context(self) -> ssl.SSLContext | None:
        """Return what checks the server's certificate, by the authorities that this machine trusts."""
        return ssl.create_default_context() if self.tls else None


def address_of(url: str) -> Address:
    """Return the address in `redis://[user@]host[:port][/database]`, or rediss:// for TLS. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError(f"{url!r} does not begin with redis:// or rediss://")
    if parts.password is not None:
        raise ValueError("the URL holds a password: give it in a file")
    database = parts.path.removeprefix("/") or "0"
    if not parts.hostname or not database.isdigit() or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not redis://[user@]host[:port][/database]")
    user = unquote(parts.username or "")
    return Address(parts.hostname, parts.port or DEFAULT_PORT, int(database), user, parts.scheme == "rediss")
