"""Which service answers which part of the API: what deploy/topology.toml says that each offers."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

# In an image it lies as far from here as in a checkout.
TOPOLOGY = Path(__file__).resolve().parents[2] / "topology.toml"
# Its own part is answered by data planes, of which settings of their own tell.
FRONT_DOOR = "front-door"
# The part that is always there.
CORE = "core"


@cache
def services() -> dict[str, str]:
    """Return the name of the service that answers each service of the API."""
    return {api: name for name, entry in _listed().items() for api in entry.get("offers", ())}


@cache
def ports() -> dict[str, int]:
    """Return the services whose targets must be set, with each one's default port."""
    answering = {name: _listed()[name]["ports"]["grpc"] for name in services().values() if name != FRONT_DOOR}
    return answering | {name: _listed()[name]["ports"]["http"] for name in pages().values()}


@cache
def parts() -> dict[str, str]:
    """Return which part of the product each service that offers something here is of."""
    return {name: _listed()[name].get("part", CORE) for name in (FRONT_DOOR, *ports())}


@cache
def pages() -> dict[str, str]:
    """Return the name of the service that answers browsers below each path."""
    return {entry["pages"]: name for name, entry in _listed().items() if "pages" in entry}


def _listed() -> dict[str, dict]:
    listed = tomllib.loads(TOPOLOGY.read_text(encoding="utf-8"))
    return {name: entry for name, entry in listed.items() if name != "parts"}
