"""Receiving a file: stream → temporary file and SHA-256 → a look into it → S3 → a record that it is there."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, BinaryIO, Self, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import DeadlineExceeded, OutOfRange, ResourceExhausted, Unavailable
from headrace_servicekit.fair_share import FairShare, Pool
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.pace import Pace, make_room
from headrace_registry.decisions.files import ArtifactType, Blob, ModelFile, Upload
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.store import Store

T = TypeVar("T")

MAX_CHUNK_BYTES = 1024 * 1024
# Longer than any upload may last.
ABANDONED_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Header:
    """What the sender says of a file. sha256: empty, and size_bytes: 0, when it does not say."""

    type: ArtifactType
    sha256: str = ""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """max_bytes: of one file. max_uploads: at once in this process. idle_s: longest wait for the next chunk.

    min_bytes_per_s: what is waited for in all, beyond one idle_s, is at most what the bytes take at this rate.
    directory: for the temporary files; None is the system's.
    """

    max_bytes: int
    max_uploads: int
    idle_s: float
    min_bytes_per_s: int
    directory: Path | None = None

    @classmethod
    def of(cls, settings: RegistrySettings) -> Self:
        """Return the limits of a service's settings."""
        time, rate = settings.upload_idle_s, settings.upload_min_bytes_per_s
        return cls(settings.max_artifact_bytes, settings.max_uploads, time, rate, settings.upload_dir)


class Uploads:
    """Uploads into a store of blobs, recorded in the registry's store."""

    def __init__(self, store: Store, blobs: Blobs, inspection: Inspection, limits: UploadLimits, clock: Clock) -> None:
        self._store, self._blobs, self._inspection = store, blobs, inspection
        self._limits, self._clock = limits, clock
        # One at a time per content: the second of two equal uploads finds what the first has stored.
        self._keeping: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._places = FairShare(Pool("uploads", limits.max_uploads, "TOO_MANY_UPLOADS", retry_after_s=2.0))
        self.coming: set[Pace] = set()
        """The uploads in progress."""

    @property
    def active(self) -> int:
        """Return how many uploads are in progress."""
        return self._places.used

    async def receive(self, header: Header, chunks: AsyncIterator[bytes]) -> Blob:
        """Store the file that `chunks` make up and return what it is; whole or not at all.

        Raises InvalidArgument (ARTIFACT_TYPE_REFUSED, DIGEST_MISMATCH, SIZE_MISMATCH), OutOfRange
        (ARTIFACT_TOO_LARGE), ResourceExhausted (TOO_MANY_UPLOADS, TOO_MANY_UPLOADS_OF_CLIENT), DeadlineExceeded
        (UPLOAD_IDLE, UPLOAD_TOO_SLOW),
        Unavailable.
        """
        self.check_size(header.size_bytes)
        if header.sha256 and (known := await self.known(header)) is not None:
            return known
        # Without a name on disk: whatever becomes of this process, nothing stays behind.
        with self._place() as pace, room(), tempfile.TemporaryFile(dir=self._limits.directory) as file:
            sha256, size_bytes = await self._write(chunks, file, pace)
            _check_declared(header, sha256, size_bytes)
            path = Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            async with (
                self._keeping.setdefault(sha256, asyncio.Lock()),
                self._under_way(header.type, sha256, size_bytes),
            ):
                return await self._keep(header.type, sha256, size_bytes, path)

    async def keep_own(self, content: bytes, model_file: ModelFile) -> Blob:
        """Store an ONNX file that the registry made, and knows. Raises Unavailable."""
        sha256, kind = hashlib.sha256(content).hexdigest(), ArtifactType.ONNX
        async with self._keeping.setdefault(sha256, asyncio.Lock()), self._under_way(kind, sha256, len(content)):
            known = await self._known(sha256, kind)
            if known is not None:
                return known
            blob = Blob(sha256, kind, len(content), model_file)
            with room(), tempfile.NamedTemporaryFile(dir=self._limits.directory) as file:
                await asyncio.to_thread(_write_all, file, content)
                await self._blobs.put(sha256, Path(file.name), len(content))
            await self._store.put_blob(blob, self._clock.now())
            return blob

    async def keep_made(self, path: Path) -> Blob:
        """Look into an ONNX file that was made of others, and store it. Raises InvalidArgument, OutOfRange."""
        size_bytes, kind = (await asyncio.to_thread(path.stat)).st_size, ArtifactType.ONNX
        self.check_size(size_bytes)
        with path.open("rb") as file:
            sha256 = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).hexdigest()
        async with self._keeping.setdefault(sha256, asyncio.Lock()), self._under_way(kind, sha256, size_bytes):
            return await self._keep(kind, sha256, size_bytes, path)

    def check_size(self, size_bytes: int) -> None:
        """Raise OutOfRange, reason ARTIFACT_TOO_LARGE, for files that are not taken."""
        if size_bytes > self._limits.max_bytes:
            raise self._too_large(size_bytes)

    async def known(self, header: Header) -> Blob | None:
        """Return what a header names by its SHA-256 if it is stored, and keep it for a while."""
        blob = await self._known(header.sha256, header.type)
        return blob if blob is not None and header.size_bytes in (0, blob.size_bytes) else None

    async def awaited(self, sent: AsyncIterator[T], pace: Pace | None = None) -> T | None:
        """Return what is sent next, None after the last. Raises DeadlineExceeded, reason UPLOAD_IDLE."""
        try:
            async with asyncio.timeout(self._limits.idle_s) as patience:
                if pace is not None:
                    pace.waits(self._clock.monotonic(), patience)
                return await anext(sent, None)
        except TimeoutError:
            if pace is not None and pace.makes_room:
                raise DeadlineExceeded(
                    f"{pace.size_bytes} bytes came and others wait for a place: the upload was given up. Send faster, "
                    "or to a URL of BeginUpload where that is offered",
                    reason="UPLOAD_TOO_SLOW",
                ) from None
            raise DeadlineExceeded(
                f"nothing was sent for {self._limits.idle_s:g} s: the upload was given up", reason="UPLOAD_IDLE"
            ) from None

    async def _paced(self, chunks: AsyncIterator[bytes], pace: Pace) -> AsyncIterator[bytes]:
        """Yield chunks while they come fast enough. Raises DeadlineExceeded, reason UPLOAD_TOO_SLOW."""
        while (chunk := await self.awaited(chunks, pace)) is not None:
            pace.came(self._clock.monotonic(), len(chunk))
            if pace.waited_s > self._limits.idle_s + pace.size_bytes / self._limits.min_bytes_per_s:
                raise DeadlineExceeded(
                    f"{pace.size_bytes} bytes took {pace.waited_s:.0f} s to come: the upload was given up. Send at "
                    f"least {self._limits.min_bytes_per_s} bytes a second, or to a URL of BeginUpload where that is "
                    "offered",
                    reason="UPLOAD_TOO_SLOW",
                )
            yield chunk
        pace.came(self._clock.monotonic(), 0)

    @asynccontextmanager
    async def _under_way(self, kind: ArtifactType, sha256: str, size_bytes: int) -> AsyncIterator[None]:
        """Record that an upload of these bytes is in progress, so that garbage collection leaves them alone."""
        now = self._clock.now()
        upload = Upload(uuid4(), sha256, kind, size_bytes, identity().client, False, now, now + ABANDONED_AFTER)
        await self._store.open_upload(upload)
        try:
            yield
        finally:
            with suppress(Unavailable):  # it expires
                await self._store.close_upload(upload.id)

    async def _keep(self, kind: ArtifactType, sha256: str, size_bytes: int, file: Path) -> Blob:
        known = await self._known(sha256, kind)
        if known is not None:
            return known
        model_file = await self._inspection.look_into(kind, file, size_bytes)
        blob = Blob(sha256, kind, size_bytes, model_file)
        # In this order a crash leaves at most bytes that nothing names.
        await self._blobs.put(sha256, file, size_bytes)
        await self._store.put_blob(blob, self._clock.now())
        return blob

    async def _known(self, sha256: str, kind: ArtifactType) -> Blob | None:
        """Return a blob that is recorded and whose bytes are there: what S3 lost is mended by uploading it again."""
        blob = await self._store.touch_blob(sha256, kind, self._clock.now())
        return blob if blob is not None and await self._blobs.size(sha256) == blob.size_bytes else None

    async def _write(self, chunks: AsyncIterator[bytes], file: BinaryIO, pace: Pace) -> tuple[str, int]:
        """Write all chunks; return SHA-256 and size of what was written."""
        digest, size_bytes = hashlib.sha256(), 0

        def append(chunk: bytes) -> None:
            digest.update(chunk)
            file.write(chunk)

        async for chunk in self._paced(chunks, pace):
            if len(chunk) > MAX_CHUNK_BYTES:
                raise invalid("chunk", f"{len(chunk)} bytes in one message; at most {MAX_CHUNK_BYTES}")
            size_bytes += len(chunk)
            if size_bytes > self._limits.max_bytes:
                raise self._too_large(size_bytes)
            await asyncio.to_thread(append, chunk)
        await asyncio.to_thread(file.flush)
        return digest.hexdigest(), size_bytes

    @contextmanager
    def _place(self) -> Iterator[Pace]:
        """Hold a place. Raises ResourceExhausted; an upload that is silent or slow makes room for the next attempt."""
        caller = identity()
        try:
            self._places.enter(caller)
        except ResourceExhausted as error:
            share = error.reason == self._places.pool.share_reason
            make_room((one for one in self.coming if not share or one.client == caller), self._clock.monotonic())
            raise
        pace = Pace(caller)
        self.coming.add(pace)
        try:
            yield pace
        finally:
            self.coming.discard(pace)
            self._places.leave(caller)

    def _too_large(self, size_bytes: int) -> OutOfRange:
        return OutOfRange(
            f"{size_bytes} bytes; files of at most {self._limits.max_bytes} bytes are taken",
            reason="ARTIFACT_TOO_LARGE",
            metadata={"max_bytes": str(self._limits.max_bytes)},
        )


def _write_all(file: IO[bytes], content: bytes) -> None:
    file.write(content)
    file.flush()


def _check_declared(header: Header, sha256: str, size_bytes: int) -> None:
    if header.size_bytes not in (0, size_bytes):
        raise invalid(
            "header.size_bytes", f"is {header.size_bytes}; {size_bytes} bytes arrived", reason="SIZE_MISMATCH"
        )
    if header.sha256 not in ("", sha256):
        raise invalid("header.sha256", f"is {header.sha256}; what arrived has {sha256}", reason="DIGEST_MISMATCH")


@contextmanager
def room() -> Iterator[None]:
    """Turn a full disk into Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable(
            "the registry has no room for uploads now", reason="UPLOAD_ROOM_EXHAUSTED", retry_after_s=30.0
        ) from error
