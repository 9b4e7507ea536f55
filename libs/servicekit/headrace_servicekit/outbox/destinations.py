"""Where webhooks may be: https on the public internet, and where the operator's list says. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from headrace_servicekit.outbox.addresses import Address, is_metadata, literal, special
from headrace_servicekit.outbox.allowlist import Allowed, bare

MAX_URL_CHARS = 2048

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# Of a network of one's own (RFC 6761, 6762, 8375, and what clusters and clouds use); so is a name without any dot.
_INSIDE = ("localhost", "local", "internal", "svc", "arpa", "lan", "localdomain", "intranet", "corp", "home")
# Stricter than urlsplit, so that every other parser finds the same host in the URL.
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?")
_PORTS = {"http": 80, "https": 443}


class RefusedError(OSError):
    """A destination is none that a webhook may have; the text says why, without the URL's path."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads. host: in lower case, without a last dot. address: when it is written as one."""

    scheme: str
    host: str
    port: int
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """allowed: by the operator, in the setting of that name. inside: hosts of this installation, by name."""

    allowed: Allowed = field(default_factory=Allowed)
    inside: frozenset[str] = frozenset()
    setting: str = "WEBHOOK_ALLOW"


def written(url: str, rules: Rules) -> Destination:
    """Return where a URL leads. Raises RefusedError for where no webhook may be, as far as its text says that."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedError(f"must be at most {MAX_URL_CHARS} printable ASCII characters, and whole")
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise RefusedError(f"must begin with https://, or with http:// where {rules.setting} allows it")
    if parts.username is not None or parts.password is not None:
        raise RefusedError("must not hold a name or password; use the secret, which signs what is sent")
    if parts.fragment:
        raise RefusedError("must not have a fragment (#…)")
    if _PLACE.fullmatch(parts.netloc) is None:
        raise RefusedError("must name a host")
    host, port = bare(parts.hostname or ""), parts.port
    if port == 0:
        raise RefusedError("must have a port between 1 and 65535")
    try:
        address = literal(host)
    except ValueError:
        raise RefusedError("must name a host") from None
    to = Destination(parts.scheme, host, port or _PORTS[parts.scheme], address)
    if address is not None:
        judge(to, address, rules)
        return to
    if host in _METADATA_NAMES:
        raise RefusedError("is the metadata service of a cloud, which no webhook may call")
    if _HOST.fullmatch(host) is None:
        raise RefusedError("must name a host")
    # With networks on the list, where a name leads decides, which only resolving it says.
    if not rules.allowed.networks:
        _judge_name(to, rules)
    return to


def judge(to: Destination, address: Address, rules: Rules, *, ours: bool = False) -> None:
    """Raise RefusedError for an address that a webhook may not be at. ours: it is one of this installation."""
    if is_metadata(address):
        raise RefusedError("leads to where clouds keep the credentials of machines: no webhook may call that")
    if rules.allowed.name(to.host, to.port) or rules.allowed.address(address, to.port):
        return
    if what := special(address) or ("an address of this installation" if ours else ""):
        raise _unless_allowed(f"leads to {what}", rules)
    _judge_scheme(to, rules)


def unresolved(to: Destination, rules: Rules) -> None:
    """Raise RefusedError for a name that leads nowhere at present, and hardly to where webhooks may be."""
    _judge_name(to, rules)
    if not rules.allowed.name(to.host, to.port):
        _judge_scheme(to, rules)


def _judge_name(to: Destination, rules: Rules) -> None:
    if rules.allowed.name(to.host, to.port):
        return
    if to.host in rules.inside:
        raise _unless_allowed("names a part of this installation", rules)
    if to.host.rpartition(".")[2] in _INSIDE or "." not in to.host:
        raise _unless_allowed("names a host of the own network", rules)


def _judge_scheme(to: Destination, rules: Rules) -> None:
    if to.scheme == "http":
        raise _unless_allowed("begins with http://, without encryption,", rules)


def _unless_allowed(what: str, rules: Rules) -> RefusedError:
    return RefusedError(f"{what}: use https:// and a public address, or have the operator name it in {rules.setting}")


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
