"""Which hosts a service knows to be of its installation: those that it is told to call. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from headrace_servicekit.outbox.allowing import bare

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
