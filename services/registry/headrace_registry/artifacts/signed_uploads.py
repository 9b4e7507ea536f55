"""Uploads by URL: the sender puts bytes under a key of their own in S3; what was sent is read, checked and then stored.

The bytes are stored from what was read, not copied within S3: the URL works until it expires, and what lies under it
may be another file by then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, PreconditionFailed
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity
from headrace_servicekit.resource_names import invalid

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.uploads import Header, Uploads
from headrace_registry.decisions.files import Blob, Upload
from headrace_registry.storage.store import Store

# For the PUT of the largest file over a slow line, and for completing it.
URL_TTL = timedelta(hours=1)
# A PUT that began just before its URL expired may end after it.
LATE = timedelta(hours=1)
MAX_STAGED = 100
SWEEP = 100


@dataclass(frozen=True, slots=True)
class Staged:
    """An upload that was begun: where to send the bytes, with which headers, and until when."""

    id: UUID
    url: str
    headers: dict[str, str]
    expire_time: datetime


class StagedUploads:
    """Uploads by URL over a store of blobs that can be reached from outside."""

    def __init__(self, store: Store, blobs: Blobs, uploads: Uploads, clock: Clock) -> None:
        self._store, self._blobs, self._uploads, self._clock = store, blobs, uploads, clock
        self._pool = Pool("uploads by URL", MAX_STAGED, "TOO_MANY_UPLOADS", retry_after_s=60.0)
        self._beginning = asyncio.Lock()

    async def begin(self, header: Header, caller: Identity) -> Staged | None:
        """Return where to send a file; None when it is stored already.

        Raises InvalidArgument, OutOfRange (ARTIFACT_TOO_LARGE), PreconditionFailed (UPLOAD_URLS_NOT_OFFERED),
        ResourceExhausted (TOO_MANY_UPLOADS, TOO_MANY_UPLOADS_OF_CLIENT).
        """
        if header.size_bytes <= 0:
            raise invalid("size_bytes", "say how many bytes will be sent")
        self._uploads.check_size(header.size_bytes)
        now = self._clock.now()
        upload = Upload(uuid4(), header.sha256, header.type, header.size_bytes, caller.client, True, now, now + URL_TTL)
        place = await self._blobs.upload_url(upload.id, header.size_bytes, URL_TTL)
        if place is None:
            raise PreconditionFailed(
                "the store of artifacts cannot be reached from outside: use UploadArtifact",
                reason="UPLOAD_URLS_NOT_OFFERED",
            )
        if header.sha256 and await self._uploads.known(header) is not None:
            return None
        async with self._beginning:  # those that begin at once count each other
            self._pool.admit(*await self._store.staged_uploads(now, caller.client), caller)
            await self._store.open_upload(upload)
        return Staged(upload.id, place.url, place.headers, upload.expire_time)

    async def complete(self, upload_id: UUID, client: str) -> Blob:
        """Store what was sent and return what it is; again, the same, until the upload expires.

        Raises NotFound (UPLOAD_NOT_FOUND), PreconditionFailed (UPLOAD_NOT_SENT), and as `Uploads.receive`.
        """
        upload = await self._of(client, upload_id)
        try:
            blob = await self._uploads.receive(_header(upload), self._blobs.read_staged(upload_id))
        except LookupError:
            # Another call may have completed it meanwhile, and removed what was sent.
            upload = await self._of(client, upload_id)
            stored = await self._uploads.known(_header(upload)) if upload.completed else None
            if stored is None:
                raise PreconditionFailed(
                    "nothing was sent to the URL of this upload yet", reason="UPLOAD_NOT_SENT"
                ) from None
            return stored
        await self._store.open_upload(replace(upload, sha256=blob.sha256, completed=True))
        await self._blobs.remove_staged(upload_id)
        return blob

    async def _of(self, client: str, upload_id: UUID) -> Upload:
        upload = await self._store.upload(upload_id)
        if upload is None or not upload.staged or upload.client != client or upload.expire_time <= self._clock.now():
            raise NotFound("there is no such upload, or it has expired: begin another", reason="UPLOAD_NOT_FOUND")
        return upload

    async def sweep(self) -> None:
        """Remove what expired uploads have left. Raises Unavailable."""
        while expired := await self._store.expired_uploads(self._clock.now() - LATE, limit=SWEEP):
            for upload in expired:
                if upload.staged:
                    await self._blobs.remove_staged(upload.id)
                await self._store.close_upload(upload.id)


def _header(upload: Upload) -> Header:
    return Header(upload.type, upload.sha256, upload.size_bytes)
