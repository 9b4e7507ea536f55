"""What every store of blobs keeps: the same tests in memory and on S3."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aioboto3
import aiohttp
import pytest
from headrace_registry.artifacts.blobs import READ_BYTES, Blobs, MemoryBlobs, blob_key
from headrace_registry.artifacts.s3 import PART_BYTES, S3Blobs
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.s3 import Place

from tests.kit.registry.service import real_settings
from tests.kit.stores.s3_front import S3Front
from tests.kit.stores.servers import S3Store
from tests.kit.wire.forwarder import Forwarder

SMALL = b"small"
LARGE = bytes(range(256)) * (2 * PART_BYTES // 256) + b"more"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def place_of(s3: S3Store, folder) -> Place:
    settings = real_settings("postgresql://none", s3, folder)
    return Place(s3.endpoint, s3.bucket, s3.region, settings.s3_credentials_file)


@pytest.fixture
def memory_blobs() -> Blobs:
    return MemoryBlobs()


@pytest.fixture
async def s3_blobs(s3, tmp_path) -> AsyncIterator[Blobs]:
    async with S3Blobs(place_of(s3, tmp_path)) as blobs:
        yield blobs


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "in parts"])
def content(request) -> bytes:
    return request.param


@pytest.fixture
def file(content, tmp_path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


@pytest.fixture(params=["memory_blobs", "s3_blobs"])
def blobs(request) -> Blobs:
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(s3):
    session = aioboto3.Session(aws_access_key_id=s3.access_key, aws_secret_access_key=s3.secret_key)
    return session.client("s3", endpoint_url=s3.endpoint, region_name=s3.region)


async def test_a_stored_blob_has_its_size(blobs, file, content):
    assert await blobs.size(sha(content)) is None
    await blobs.put(sha(content), file, len(content))
    assert await blobs.size(sha(content)) == len(content)


async def test_storing_a_blob_again_and_at_once_succeeds(blobs, file, content):
    await asyncio.gather(*(blobs.put(sha(content), file, len(content)) for _ in range(3)))
    await blobs.put(sha(content), file, len(content))
    assert await blobs.size(sha(content)) == len(content)


async def test_a_blob_is_read_in_pieces_listed_and_removed(blobs, file, content):
    before = datetime.now(UTC) - timedelta(seconds=5)
    await blobs.put(sha(content), file, len(content))
    pieces = [piece async for piece in blobs.read(sha(content))]
    assert b"".join(pieces) == content
    assert max(len(piece) for piece in pieces) <= READ_BYTES
    ((stored,),) = [page async for page in blobs.pages()]
    assert (stored.sha256, stored.size_bytes) == (sha(content), len(content))
    assert before < stored.modify_time < datetime.now(UTC) + timedelta(seconds=5)
    await blobs.remove(sha(content))
    await blobs.remove(sha(content))
    assert await blobs.size(sha(content)) is None
    assert [item async for page in blobs.pages() for item in page] == []


async def test_what_is_not_there_cannot_be_read(blobs):
    await blobs.check()
    for missing in (blobs.read("a" * 64), blobs.read_staged(uuid4())):
        with pytest.raises(LookupError):
            await anext(missing)
    await blobs.remove_staged(uuid4())
    assert await blobs.upload_url(uuid4(), 9, timedelta(minutes=1)) is None


async def test_an_empty_store_answers_its_check(blobs):
    await blobs.check()


async def test_the_bytes_are_in_s3_under_their_digest(s3, client, tmp_path, file, content):
    async with S3Blobs(place_of(s3, tmp_path)) as blobs, client as direct:
        await blobs.put(sha(content), file, len(content))
        answer = await direct.get_object(Bucket=s3.bucket, Key=f"blobs/sha256/{sha(content)}")
        assert await answer["Body"].read() == content


async def test_the_bucket_is_made_when_it_is_missing(s3, client, tmp_path):
    place = place_of(s3, tmp_path)
    other = replace(place, bucket=f"{place.bucket}-made")
    async with S3Blobs(other) as blobs, client as direct:
        await blobs.check()
        await direct.head_bucket(Bucket=other.bucket)
        await direct.delete_bucket(Bucket=other.bucket)


async def has_a_part(direct: Any, bucket: str) -> bool:
    """Return whether an upload has one: before that, whoever began it may not know its id yet."""
    for one in (await direct.list_multipart_uploads(Bucket=bucket)).get("Uploads", ()):
        parts = await direct.list_parts(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
        if parts.get("Parts"):
            return True
    return False


async def test_an_upload_that_breaks_leaves_no_parts(s3, client, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(LARGE)

    async with S3Blobs(place_of(s3, tmp_path)) as blobs, client as direct:
        put = asyncio.create_task(blobs.put(sha(LARGE), file, len(LARGE)))
        while not put.done():
            if await has_a_part(direct, s3.bucket):
                put.cancel()
                break
        await asyncio.gather(put, return_exceptions=True)
        assert not (await direct.list_multipart_uploads(Bucket=s3.bucket)).get("Uploads")


async def test_parts_of_a_process_that_died_are_dropped_once_they_are_old(s3, client, tmp_path):
    async with S3Blobs(place_of(s3, tmp_path)) as blobs, client as direct:
        await direct.create_multipart_upload(Bucket=s3.bucket, Key=blob_key("e" * 64))
        now = datetime.now(UTC)
        assert await blobs.abort_abandoned(now - timedelta(hours=1)) == 0
        assert await blobs.abort_abandoned(now + timedelta(hours=1)) == 1
        assert await blobs.abort_abandoned(now + timedelta(hours=1)) == 0


@pytest.fixture
async def public_blobs(s3, tmp_path) -> AsyncIterator[S3Blobs]:
    async with S3Blobs(place_of(s3, tmp_path), s3.endpoint) as blobs:
        yield blobs


async def put(url: str, headers: dict[str, str], content: bytes) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.put(url, headers=headers, data=io.BytesIO(content)) as answer,
    ):
        return answer.status


async def test_bytes_sent_to_a_url_wait_under_a_key_of_their_own(public_blobs):
    upload = uuid4()
    place = await public_blobs.upload_url(upload, len(LARGE), timedelta(minutes=1))
    assert place is not None
    assert await put(place.url, place.headers, LARGE) == 200
    assert b"".join([piece async for piece in public_blobs.read_staged(upload)]) == LARGE
    assert [item async for page in public_blobs.pages() for item in page] == []
    await public_blobs.remove_staged(upload)
    with pytest.raises(LookupError):
        await anext(public_blobs.read_staged(upload))


@pytest.mark.parametrize("content", [pytest.param(SMALL + b"!", id="more"), pytest.param(SMALL[:-1], id="less")])
async def test_a_url_takes_only_as_many_bytes_as_were_told(public_blobs, content):
    upload = uuid4()
    place = await public_blobs.upload_url(upload, len(SMALL), timedelta(minutes=1))
    assert place is not None
    assert await put(place.url, {}, content) == 403
    with pytest.raises(LookupError):
        await anext(public_blobs.read_staged(upload))


async def test_a_url_is_good_for_one_key_and_one_method(public_blobs):
    place = await public_blobs.upload_url(uuid4(), len(SMALL), timedelta(minutes=1))
    assert place is not None
    assert await put(place.url.replace("staging/", "blobs/sha256/"), place.headers, SMALL) == 403
    async with aiohttp.ClientSession() as session, session.get(place.url) as answer:
        assert answer.status == 403


async def test_an_s3_that_is_not_there_is_unavailable(tmp_path):
    nowhere = S3Store("http://127.0.0.1:1", "key", "secret", "bucket")
    async with S3Blobs(place_of(nowhere, tmp_path)) as blobs:
        with pytest.raises(Unavailable) as caught:
            await blobs.check()
    assert caught.value.retry_after_s


async def test_an_s3_that_refuses_our_keys_is_unavailable_and_says_why(s3, tmp_path):
    wrong = S3Store(s3.endpoint, s3.access_key, "wrong", s3.bucket)
    async with S3Blobs(place_of(wrong, tmp_path)) as blobs:
        with pytest.raises(Unavailable, match=r"refused the call \(\w+\)"):
            await blobs.size("a" * 64)


async def test_a_store_that_asks_for_another_try_has_stored_nothing(s3, tmp_path, file, content):
    async with S3Front.before(s3) as front, S3Blobs(place_of(front.store, tmp_path)) as blobs:
        await blobs.check()
        front.conflicts = True
        with pytest.raises(Unavailable):
            await blobs.put(sha(content), file, len(content))
        front.conflicts = False
        await blobs.put(sha(content), file, len(content))
        assert await blobs.size(sha(content)) == len(content)


async def test_an_s3_that_goes_while_it_is_read_is_unavailable(s3, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(LARGE)
    async with Forwarder.before(s3.endpoint) as forwarder:
        there = replace(s3, endpoint=forwarder.url(s3.endpoint))
        async with S3Blobs(place_of(there, tmp_path)) as blobs:
            await blobs.put(sha(LARGE), file, len(LARGE))
            pieces = blobs.read(sha(LARGE))
            await anext(pieces)
            forwarder.cut()
            with pytest.raises(Unavailable):
                [piece async for piece in pieces]
