"""A restore under a registry that goes on: what it writes and removes at that moment."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from headrace_registry.artifacts.blobs import MemoryBlobs, StoredBytes, blob_key
from headrace_registry.backup import restore, snapshot
from headrace_registry.decisions.files import ArtifactType, Blob
from headrace_registry.decisions.retention import Policy
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_registry.storage.postgres import PostgresStore
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.registry.contents import NOW, event, make_model

CONTENT = b"{}"
SHA = hashlib.sha256(CONTENT).hexdigest()


class InterruptedBlobs(MemoryBlobs):
    """Blobs of which something happens right after they were first listed."""

    def __init__(self) -> None:
        super().__init__()
        self.kept[blob_key(SHA)] = CONTENT
        self.interruption: Callable[[], Awaitable[object]] | None = None

    async def pages(self) -> AsyncIterator[list[StoredBytes]]:
        async for page in super().pages():
            yield page
        interruption, self.interruption = self.interruption, None
        if interruption is not None:
            await interruption()


class Rig:
    """A registry's stores with one model and one file that no version names, and a backup of them."""

    def __init__(self, connections: Connections, folder: Path) -> None:
        self.connections, self.folder = connections, folder
        self.store, self.blobs = PostgresStore(connections), InterruptedBlobs()

    async def restore(self) -> restore.Restored:
        return await restore.restore(self.connections, self.blobs, self.folder, replace=True)

    async def collect(self) -> None:
        """Pass over the bytes as a running registry does a week later; a restore makes it wait, and give up."""
        bytes_alone = MemoryBlobs()
        bytes_alone.kept = self.blobs.kept
        collection = GarbageCollector(
            self.store, bytes_alone, Policy(timedelta(days=1)), FakeClock(NOW + timedelta(days=7))
        )
        with suppress(Unavailable):
            await collection.run()


@pytest.fixture(params=[False, True], ids=["files stay in S3", "files are in the backup"])
async def rig(request, postgres_url, tmp_path) -> AsyncIterator[Rig]:
    async with Connections(Address(postgres_url), owner="registry", size=4) as connections:
        rig = Rig(connections, tmp_path / "backup")
        await rig.store.migrate()
        await rig.store.put_blob(Blob(SHA, ArtifactType.JSON, len(CONTENT)), NOW)
        await make_model(rig.store)
        await snapshot.save(connections, rig.blobs if request.param else None, rig.folder, NOW)
        yield rig


async def test_a_write_that_is_under_way_is_finished_first(rig):
    async with rig.store.transaction() as transaction:
        await transaction.claim("ann", "once", b"", NOW)
        restored = asyncio.create_task(rig.restore())

        async def waits() -> bool:
            async with rig.connections.alone() as connection:
                return await connection.fetchval("select exists (select from pg_locks where not granted)")

        await eventually(waits)
        model = await transaction.lock_model("digits")
        await transaction.save(replace(model, epoch=2), [event(2)])
    await restored
    assert (await rig.store.model("digits")).epoch == 1


async def test_what_is_restored_as_stored_is_stored_although_a_collection_passes(rig):
    rig.blobs.interruption = rig.collect
    restored = await rig.restore()
    stored = await rig.store.stored([SHA]) == {SHA}
    assert stored is (blob_key(SHA) in rig.blobs.kept)
    assert stored or restored.missing == [SHA]
    assert stored or not restored.manifest.with_blobs
