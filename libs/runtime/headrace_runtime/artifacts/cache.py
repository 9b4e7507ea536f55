"""Model files on disk: known by their SHA-256, verified, and bounded."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Protocol

# Downloading gently pauses after each chunk for this many times what it took of a core: the kernel's part in it, and
# that of a store on the same machine, know no priorities.
PAUSES = 4.0
_PARTIAL = ".partial"


class ArtifactError(Exception):
    """A file cannot be had; the message is shown to operators."""


class Artifacts(Protocol):
    """Where the files of versions are had from."""

    async def fetch(self, sha256: str, /, *, gently: bool = False) -> Path:
        """Return the path of a verified file, downloaded when it is not here. Raises ArtifactError.

        gently: with pauses, for callers who are answered meanwhile.
        """
        ...

    async def tidy(self, wanted: Collection[str], /) -> None:
        """Remove the files unused for longest until the unwanted ones fit their bound. Raises ArtifactError."""
        ...


class Blobs(Protocol):
    """Where files are read from by their SHA-256."""

    def read(self, sha256: str, /) -> AsyncIterator[bytes]:
        """Yield the bytes. Raises ArtifactError."""
        ...


class BlobCache:
    """Artifacts in a directory of this process. max_bytes: bounds those that nothing wants any more."""

    def __init__(self, root: Path, blobs: Blobs, *, max_bytes: int, fetch_timeout_s: float) -> None:
        self._root = root
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._fetch_timeout_s = fetch_timeout_s

    async def fetch(self, sha256: str, *, gently: bool = False) -> Path:
        path = self._root / sha256
        try:
            if await asyncio.to_thread(_is_whole, path, sha256):
                return path
            async with asyncio.timeout(self._fetch_timeout_s):
                await self._download(sha256, path, PAUSES if gently else 0.0)
        except TimeoutError:
            raise ArtifactError(f"blob {sha256} did not arrive within {self._fetch_timeout_s:g} s") from None
        except OSError as error:
            raise ArtifactError(f"blob {sha256} cannot be written to disk: {error.strerror}") from None
        return path

    async def tidy(self, wanted: Collection[str]) -> None:
        try:
            _evict(self._root, frozenset(wanted), self._max_bytes)
        except OSError as error:
            raise ArtifactError(f"files that nothing wants cannot be removed: {error.strerror}") from None

    async def _download(self, sha256: str, path: Path, pauses: float) -> None:
        partial = path.with_name(sha256 + _PARTIAL)
        digest = hashlib.sha256()
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                used_s = time.thread_time()
                async for chunk in self._blobs.read(sha256):
                    file.write(chunk)
                    digest.update(chunk)
                    await asyncio.sleep(pauses * (time.thread_time() - used_s))
                    used_s = time.thread_time()
            if digest.hexdigest() != sha256:
                raise ArtifactError(f"blob {sha256} has the SHA-256 {digest.hexdigest()}: it is damaged")
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)


def _is_whole(path: Path, sha256: str) -> bool:
    """Return whether a file is there with the bytes that it should have; one that is damaged is removed."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if found != sha256:
        path.unlink()
        return False
    os.utime(path)
    return True


def _evict(root: Path, wanted: frozenset[str], max_bytes: int) -> None:
    if not root.is_dir():
        return
    unwanted = [(path.stat(), path) for path in root.iterdir() if path.name not in wanted and path.suffix != _PARTIAL]
    total = sum(status.st_size for status, _ in unwanted)
    for status, path in sorted(unwanted, key=lambda entry: entry[0].st_mtime):
        if total <= max_bytes:
            return
        path.unlink(missing_ok=True)
        total -= status.st_size
