"""The files that list a service's replicas; callers watch them, so scaling restarts no caller."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace_stack import topology
from headrace_stack.components import front_door
from headrace_stack.settings import StackSettings


def publish(settings: StackSettings) -> None:
    """Write where the replicas in `settings` are. Raises OSError."""
    _replace(settings.endpoints, text(front_door.endpoints(settings)))
    _replace(settings.pools, text(topology.pools(settings)))


def text(addresses: Mapping[str, Sequence[str]]) -> str:
    """Return `name=host:port,host:port;…`."""
    return ";".join(f"{name}={','.join(of)}" for name, of in addresses.items()) + "\n"


def _replace(path: Path, content: str) -> None:
    """Write by rename: a reader sees the old or the new content, never a part."""
    partial = path.with_suffix(".partial")
    partial.write_text(content, encoding="utf-8")
    os.replace(partial, path)
