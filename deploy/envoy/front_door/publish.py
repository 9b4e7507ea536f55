"""Files that Envoy follows are replaced by rename: it never sees half of one, and ignores edits in place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from front_door.shapes import Json


def publish(directory: Path, files: Mapping[str, Json | bytes]) -> None:
    """Write files of mode 0600 into a directory of mode 0700, each by rename. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(directory / name, content if isinstance(content, bytes) else encode(content))


def encode(config: Json) -> bytes:
    """Return a configuration as the bytes of its file."""
    return json.dumps(config, indent=1).encode()


def _replace(path: Path, content: bytes) -> None:
    # Hidden, and outside the names that Envoy watches, until it is complete.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
