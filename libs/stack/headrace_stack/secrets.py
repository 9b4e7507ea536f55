"""Generated secrets: made once, kept in files that only their owner reads."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def read_or_create(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
    """Return the file's text, creating it (mode 0600) with `make()` when absent. Never overwrites."""
    if not path.exists():
        create_private(path, make())
    return path.read_text()


def create_private(path: Path, text: str) -> None:
    """Write a new file of mode 0600 so that it appears whole or not at all; one that already exists stays."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)
    except FileExistsError:
        pass  # another process was first: its secret counts
    finally:
        partial.unlink()


def replace_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, replacing what was there as a whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(partial, path)
