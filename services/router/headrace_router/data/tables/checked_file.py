"""A file that is written whole or not at all, and whose content is known to be what was written. All of it blocks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_DIGEST_BYTES = 32


class CheckedFile:
    """Magic, SHA-256 of the content, content. magic: its first line; a change of format changes it.

    max_bytes: of the content; a larger one is neither written nor read.
    """

    def __init__(self, path: Path, magic: bytes, max_bytes: int) -> None:
        self.path, self._magic, self._max_bytes = path, magic, max_bytes

    def write(self, content: bytes) -> None:
        """Replace the file. Raises OSError, and ValueError when the content is too large."""
        if len(content) > self._max_bytes:
            raise ValueError(f"{len(content)} bytes are more than {self._max_bytes}")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".new")
        with scratch.open("wb") as file:
            file.write(self._magic + hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.path)

    def read(self) -> memoryview | None:
        """Return the content, None where there is no file. Raises OSError, and ValueError for any but a whole one."""
        start = len(self._magic) + _DIGEST_BYTES
        try:
            if self.path.stat().st_size > self._max_bytes + start:
                raise ValueError("too large")
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if not content.startswith(self._magic) or len(content) < start:
            raise ValueError("not a file of this format")
        body = memoryview(content)[start:]
        if hashlib.sha256(body).digest() != content[len(self._magic) : start]:
            raise ValueError("its checksum does not fit")
        return body
