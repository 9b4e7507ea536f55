"""Uploads by URL: what was sent is read, checked and stored; what nobody completes expires."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from headrace_registry.artifacts.blobs import MemoryBlobs, blob_key, staging_key
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.signed_uploads import LATE, MAX_STAGED, URL_TTL, StagedUploads
from headrace_registry.artifacts.uploads import Header, UploadLimits, Uploads
from headrace_registry.decisions.files import ArtifactType
from headrace_servicekit.errors import InvalidArgument, NotFound, OutOfRange, PreconditionFailed, ResourceExhausted
from headrace_servicekit.identity import INTERNAL, Identity
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.registry.memory_store import MemoryStore

JSON = ArtifactType.JSON
CONTENT = b'{"labels": ["a", "b", "c"]}'
SHA = hashlib.sha256(CONTENT).hexdigest()
HEADER = Header(JSON, SHA, len(CONTENT))
ANN = Identity("ann")


async def read_nothing(_file, _size):
    raise AssertionError("only JSON is uploaded here")


class Rig:
    def __init__(self, folder, *, offers_urls: bool = True) -> None:
        self.store, self.blobs, self.clock = MemoryStore(), MemoryBlobs(offers_urls=offers_urls), FakeClock()
        limits = UploadLimits(max_bytes=1000, max_uploads=2, idle_s=5.0, min_bytes_per_s=1, directory=folder)
        self.uploads = Uploads(self.store, self.blobs, Inspection(read_nothing), limits, self.clock)
        self.staged = StagedUploads(self.store, self.blobs, self.uploads, self.clock)

    async def begin(self, header: Header = HEADER, caller: Identity = ANN):
        begun = await self.staged.begin(header, caller)
        assert begun is not None
        return begun.id

    def send(self, upload, content: bytes = CONTENT) -> None:
        self.blobs.kept[staging_key(upload)] = content


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


@pytest.mark.parametrize("sha256", [SHA, ""])
async def test_what_was_sent_is_stored_under_its_digest_and_completing_again_is_the_same(rig, sha256):
    upload = await rig.begin(Header(JSON, sha256, len(CONTENT)))
    rig.send(upload)
    blob = await rig.staged.complete(upload, "ann")
    assert (blob.sha256, blob.size_bytes) == (SHA, len(CONTENT))
    assert rig.blobs.kept == {blob_key(SHA): CONTENT}
    assert await rig.staged.complete(upload, "ann") == blob


async def test_a_file_that_is_stored_already_need_not_be_sent(rig):
    upload = await rig.begin()
    rig.send(upload)
    await rig.staged.complete(upload, "ann")
    assert await rig.staged.begin(HEADER, Identity("bob")) is None


async def test_nothing_sent_is_told_and_may_still_be_sent(rig):
    upload = await rig.begin()
    with pytest.raises(PreconditionFailed) as caught:
        await rig.staged.complete(upload, "ann")
    assert caught.value.reason == "UPLOAD_NOT_SENT"
    rig.send(upload)
    assert (await rig.staged.complete(upload, "ann")).sha256 == SHA


async def test_another_file_than_was_told_is_refused_and_stores_nothing(rig):
    upload = await rig.begin()
    rig.send(upload, CONTENT.replace(b"a", b"z"))
    with pytest.raises(InvalidArgument) as caught:
        await rig.staged.complete(upload, "ann")
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert blob_key(SHA) not in rig.blobs.kept


async def test_another_file_sent_after_it_was_read_changes_nothing(rig):
    upload = await rig.begin()
    rig.send(upload)
    await rig.staged.complete(upload, "ann")
    rig.send(upload, b'{"labels": ["x"]}')
    assert (await rig.staged.complete(upload, "ann")).sha256 == SHA
    assert rig.blobs.kept[blob_key(SHA)] == CONTENT


async def test_uploads_of_others_unknown_and_expired_ones_look_the_same(rig):
    upload = await rig.begin()
    rig.send(upload)
    with pytest.raises(NotFound):
        await rig.staged.complete(upload, "bob")
    await rig.clock.advance(URL_TTL.total_seconds())
    with pytest.raises(NotFound) as caught:
        await rig.staged.complete(upload, "ann")
    assert caught.value.reason == "UPLOAD_NOT_FOUND"


async def test_what_expired_uploads_left_is_removed_a_while_later(rig):
    upload = await rig.begin()
    rig.send(upload)
    await rig.clock.advance(URL_TTL.total_seconds())
    await rig.staged.sweep()
    assert rig.blobs.kept
    await rig.clock.advance(LATE.total_seconds() + 1)
    await rig.staged.sweep()
    assert not rig.blobs.kept
    assert await rig.store.expired_uploads(rig.clock.now() + timedelta(days=9), limit=9) == []


async def test_sizes_are_told_and_bounded(rig):
    with pytest.raises(InvalidArgument):
        await rig.staged.begin(Header(JSON), Identity("ann"))
    with pytest.raises(OutOfRange):
        await rig.staged.begin(Header(JSON, "", 1001), Identity("ann"))


async def test_open_uploads_are_bounded(rig):
    for _ in range(MAX_STAGED):
        await rig.begin(caller=INTERNAL)
    with pytest.raises(ResourceExhausted) as caught:
        await rig.begin()
    assert caught.value.reason == "TOO_MANY_UPLOADS"
    assert caught.value.retry_after_s


async def test_one_client_has_a_share_of_the_open_uploads_however_many_it_begins_at_once(rig):
    begun = await asyncio.gather(*(rig.begin() for _ in range(MAX_STAGED)), return_exceptions=True)
    refused = [one for one in begun if isinstance(one, ResourceExhausted)]
    assert len(refused) == MAX_STAGED / 2
    assert {one.reason for one in refused} == {"TOO_MANY_UPLOADS_OF_CLIENT"}
    assert await rig.begin(caller=Identity("bob"))


async def test_a_completed_upload_is_open_no_longer(rig):
    for number in range(MAX_STAGED + 1):
        content = b"[%d]" % number
        upload = await rig.begin(Header(JSON, "", len(content)))
        rig.send(upload, content)
        blob = await rig.staged.complete(upload, "ann")
        assert await rig.staged.complete(upload, "ann") == blob


async def test_two_that_complete_an_upload_at_once_are_answered_the_same(rig):
    upload = await rig.begin(Header(JSON, "", len(CONTENT)))
    rig.send(upload)
    read, go_on = rig.blobs.read_staged, asyncio.Event()

    async def read_late(wanted):
        await go_on.wait()
        async for piece in read(wanted):
            yield piece

    rig.blobs.read_staged = read_late
    second = asyncio.create_task(rig.staged.complete(upload, "ann"))
    await eventually(lambda: rig.uploads.active)
    rig.blobs.read_staged = read
    first = await rig.staged.complete(upload, "ann")
    go_on.set()
    assert await second == first


async def test_without_a_store_outside_no_url_is_offered(tmp_path):
    with pytest.raises(PreconditionFailed) as caught:
        await Rig(tmp_path, offers_urls=False).staged.begin(HEADER, ANN)
    assert caught.value.reason == "UPLOAD_URLS_NOT_OFFERED"
