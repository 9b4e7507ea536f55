"""Where the bytes of artifacts are kept, by their SHA-256: the Protocol, and its form in memory for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from headrace_servicekit.errors import Unavailable

BLOB_PREFIX = "blobs/sha256/"
STAGING_PREFIX = "staging/"

READ_BYTES = 1024 * 1024


def blob_key(sha256: str) -> str:
    """Return the key under which batchers find the bytes."""
    return f"{BLOB_PREFIX}{sha256}"


def staging_key(upload: UUID) -> str:
    """Return the key under which the bytes of an upload by URL wait to be looked at."""
    return f"{STAGING_PREFIX}{upload}"


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Bytes that lie in the store. modify_time: when they were written."""

    sha256: str
    size_bytes: int
    modify_time: datetime


@dataclass(frozen=True, slots=True)
class UploadUrl:
    """Where bytes may be sent with HTTP PUT, and the headers that must be sent with them."""

    url: str
    headers: dict[str, str]


class Blobs(Protocol):
    """A store of bytes that are written once. Every method raises Unavailable while the store is down."""

    async def size(self, sha256: str) -> int | None:
        """Return the size in bytes of a stored blob; None when it is not there."""
        ...

    async def put(self, sha256: str, file: Path, size_bytes: int) -> None:
        """Store a file that has that SHA-256: whole or not at all. What is there already stays."""
        ...

    async def remove(self, sha256: str) -> None:
        """Remove a blob if it is there."""
        ...

    def pages(self) -> AsyncIterator[list[StoredBytes]]:
        """Yield everything that lies under the keys of blobs."""
        ...

    def read(self, sha256: str) -> AsyncIterator[bytes]:
        """Yield a blob in pieces of at most READ_BYTES. Raises LookupError when it is not there."""
        ...

    async def upload_url(self, upload: UUID, size_bytes: int, ttl: timedelta) -> UploadUrl | None:
        """Return where so many bytes may be sent from outside; None when this store cannot be reached from there."""
        ...

    def read_staged(self, upload: UUID) -> AsyncIterator[bytes]:
        """Yield what was sent. Raises LookupError when nothing was."""
        ...

    async def remove_staged(self, upload: UUID) -> None:
        """Remove what was sent, if anything was."""
        ...

    async def check(self) -> None:
        """Return when the store answers."""
        ...


async def recorded(blobs: Blobs, sha256: str, name: str) -> AsyncGenerator[bytes]:
    """Yield the bytes of a recorded file, as `Blobs.read`. Raises Unavailable when they are not there: the store
    lost them, or a backup is being restored."""
    try:
        async for piece in blobs.read(sha256):
            yield piece
    except LookupError:
        raise Unavailable(f"the bytes of '{name}' are not in the artifact store now", retry_after_s=5.0) from None


class MemoryBlobs:
    """Blobs in memory. kept: the bytes by their key. offers_urls: whether uploads may be sent to `kept` directly."""

    def __init__(self, *, offers_urls: bool = False) -> None:
        self.kept: dict[str, bytes] = {}
        self.modify_times: dict[str, datetime] = {}
        self._offers_urls = offers_urls

    async def size(self, sha256: str) -> int | None:
        kept = self.kept.get(blob_key(sha256))
        return None if kept is None else len(kept)

    async def put(self, sha256: str, file: Path, size_bytes: int) -> None:
        content = await asyncio.to_thread(file.read_bytes)
        assert len(content) == size_bytes
        self.kept.setdefault(blob_key(sha256), content)
        self.modify_times[blob_key(sha256)] = datetime.now(UTC)

    async def remove(self, sha256: str) -> None:
        self.kept.pop(blob_key(sha256), None)

    async def pages(self) -> AsyncIterator[list[StoredBytes]]:
        for key, content in sorted(self.kept.items()):
            if key.startswith(BLOB_PREFIX):
                modified = self.modify_times.get(key, datetime.now(UTC))
                yield [StoredBytes(key.removeprefix(BLOB_PREFIX), len(content), modified)]

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        for piece in _pieces(self.kept[blob_key(sha256)]):
            yield piece

    async def upload_url(self, upload: UUID, size_bytes: int, ttl: timedelta) -> UploadUrl | None:
        return UploadUrl(f"memory:{staging_key(upload)}", {}) if self._offers_urls else None

    async def read_staged(self, upload: UUID) -> AsyncIterator[bytes]:
        for piece in _pieces(self.kept[staging_key(upload)]):
            yield piece

    async def remove_staged(self, upload: UUID) -> None:
        self.kept.pop(staging_key(upload), None)

    async def check(self) -> None:
        pass


def _pieces(content: bytes) -> list[bytes]:
    return [content[start : start + READ_BYTES] for start in range(0, len(content), READ_BYTES)]
