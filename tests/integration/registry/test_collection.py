"""Collection on real PostgreSQL and S3, against uploads and registrations that race with it."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from headrace_registry.artifacts import onnx_check
from headrace_registry.artifacts.blobs import blob_key
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.artifacts.uploads import Header, UploadLimits, Uploads
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import defaults
from headrace_registry.decisions.files import Artifact, ArtifactType, ModelFile
from headrace_registry.decisions.models import Version, VersionRef
from headrace_registry.decisions.retention import Policy
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_registry.storage.postgres import PostgresStore
from headrace_servicekit.clock import SystemClock
from headrace_servicekit.errors import PreconditionFailed
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.s3 import Place

from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry

# Whatever nothing names is gone at the next pass: no real installation is as greedy, and none has to survive this.
GREEDY = Policy(grace=timedelta(0))


@pytest.fixture
async def parts(real: Registry):
    """The stores of a running registry, opened a second time: what another replica would collect with."""
    settings = real.runtime.settings
    async with (
        Connections(Address(settings.database_url), owner="registry", size=4) as connections,
        S3Blobs(Place.of(settings)) as blobs,
    ):
        store = PostgresStore(connections)
        await store.migrate()
        yield store, blobs


async def contents(blobs: S3Blobs) -> set[str]:
    return {item.sha256 async for page in blobs.pages() for item in page}


class Writer:
    """Uploads and registers over the same stores, without the second that looking into a file takes in a process."""

    def __init__(self, store: PostgresStore, blobs: S3Blobs, folder: Path) -> None:
        limits = UploadLimits(max_bytes=10**6, max_uploads=100, idle_s=5.0, min_bytes_per_s=1, directory=folder)
        self._uploads = Uploads(store, blobs, Inspection(read_here), limits, SystemClock())
        self.registrations = Registrations(store, SystemClock())
        self.too_late = 0

    async def register(self, ref: VersionRef, file: onnx_models.TinyModel) -> str:
        """Upload and register until it succeeds: between the two the file may be taken, as nothing names it yet."""
        while True:
            blob = await self._uploads.receive(Header(ArtifactType.ONNX), one_chunk(file.content))
            artifact = Artifact("model.onnx", ArtifactType.ONNX, blob.sha256)
            declared = Version(ref, defaults.filled(), artifacts=(artifact,))
            if await self._registered(declared):
                return blob.sha256
            self.too_late += 1

    async def _registered(self, declared: Version) -> bool:
        try:
            await self.registrations.create_version(declared, Write("ann"))
        except PreconditionFailed as error:
            if error.reason != "ARTIFACT_NOT_UPLOADED":
                raise
            return False
        return True

    async def come_and_go(self, name: str, file: onnx_models.TinyModel) -> None:
        """Register a version of a model and delete the model, so that nothing needs its bytes any more."""
        await self.register(VersionRef(name, "v1"), file)
        await self.registrations.delete_model(name, "", Write("ann"))


async def read_here(file: Path, _size_bytes: int) -> ModelFile:
    return onnx_check.read(str(file))


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.mark.long
async def test_registrations_that_race_with_collection_keep_their_bytes(parts, tmp_path):
    store, blobs = parts
    writer, files = Writer(store, blobs, tmp_path), [onnx_models.linear(4, 3, seed=seed) for seed in range(3)]
    done, removed = asyncio.Event(), 0

    async def collect() -> None:
        nonlocal removed
        collection = GarbageCollector(store, blobs, GREEDY, SystemClock())
        while not done.is_set():
            removed += len((await collection.run()).removed)

    async def write(lane: int) -> list[str]:
        for number in itertools.count():
            await writer.come_and_go(f"gone-{lane}-{number}", files[(lane + number) % len(files)])
            if removed >= 20:
                break
        return [await writer.register(VersionRef(f"kept-{lane}", f"v{n}"), file) for n, file in enumerate(files)]

    collecting = [asyncio.create_task(collect()) for _ in range(2)]
    lanes = await asyncio.gather(*(write(lane) for lane in range(4)))
    done.set()
    await asyncio.gather(*collecting)

    named = {sha256 for lane in lanes for sha256 in lane}
    assert named == {hashlib.sha256(file.content).hexdigest() for file in files}
    assert await contents(blobs) == named
    for file in files:
        sha256 = hashlib.sha256(file.content).hexdigest()
        assert b"".join([piece async for piece in blobs.read(sha256)]) == file.content
        assert await store.blob(sha256, ArtifactType.ONNX) is not None


async def test_bytes_are_taken_from_s3_and_what_a_version_names_is_not(real, parts):
    store, blobs = parts
    kept = await real.register("digits", "v1", onnx_models.linear(4, 3))
    unnamed = await real.upload(onnx_models.linear(5, 3).content)
    report = await GarbageCollector(store, blobs, GREEDY, SystemClock()).run()
    assert list(report.removed) == [unnamed]
    assert await contents(blobs) == {kept.artifacts[0].sha256}
    again = await real.register("digits", "v2", onnx_models.linear(5, 3))
    assert again.artifacts[0].sha256 == unnamed
    assert unnamed in await contents(blobs)


async def test_keys_that_are_not_ours_are_left_alone(real, parts, s3, tmp_path):
    store, blobs = parts
    await blobs.prepare()
    await blobs._bucket.client.put_object(Bucket=s3.bucket, Key=blob_key("notes.txt"), Body=b"mine")
    report = await GarbageCollector(store, blobs, GREEDY, SystemClock()).run()
    assert not report.removed
    assert (await blobs._bucket.client.head_object(Bucket=s3.bucket, Key=blob_key("notes.txt")))["ContentLength"] == 4
