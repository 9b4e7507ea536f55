"""The files that say which replicas there are; those that call them follow these, so nobody is restarted for it."""

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
    """Write by rename: whoever follows the file sees the old or the new, never a part."""
    partial = path.with_suffix(".partial")
    partial.write_text(content, encoding="utf-8")
    os.replace(partial, path)
