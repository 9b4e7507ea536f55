"""What every source of model files keeps, on real S3: a cache in this process, and the process that has one."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from headrace_runtime.artifacts.cache import ArtifactError, Artifacts, BlobCache
from headrace_runtime.artifacts.place import Place
from headrace_runtime.artifacts.process import Fetcher
from headrace_runtime.artifacts.s3 import s3_blobs

from tests.kit.batcher.service import place_for, put_blob
from tests.kit.stores.servers import S3Store

MODEL = os.urandom(3 * 1024 * 1024)
SHA = sha256(MODEL).hexdigest()


@pytest.fixture
def place(s3: S3Store, tmp_path: Path) -> Place:
    return place_for(s3, tmp_path)


@pytest.fixture(params=[BlobCache, Fetcher])
async def artifacts(request, place: Place) -> AsyncIterator[Artifacts]:
    if request.param is Fetcher:
        async with Fetcher(place) as fetcher:
            yield fetcher
        return
    async with s3_blobs(place.endpoint, place.bucket, place.region, Path(place.credentials or "")) as blobs:
        yield BlobCache(Path(place.root), blobs, max_bytes=place.max_bytes, fetch_timeout_s=place.fetch_timeout_s)


def kept(place: Place) -> list[str]:
    return [path.name for path in Path(place.root).iterdir()]


@pytest.mark.parametrize("gently", [False, True])
async def test_a_file_is_fetched_once_and_read_from_disk_after_that(artifacts: Artifacts, s3: S3Store, gently: bool):
    await put_blob(s3, SHA, MODEL)
    path = await artifacts.fetch(SHA, gently=gently)
    assert path.read_bytes() == MODEL
    await put_blob(s3, SHA, b"something else")
    assert await artifacts.fetch(SHA) == path
    assert path.read_bytes() == MODEL


async def test_a_file_that_was_damaged_on_disk_is_fetched_again(artifacts: Artifacts, s3: S3Store):
    await put_blob(s3, SHA, MODEL)
    (await artifacts.fetch(SHA)).write_bytes(b"rot")
    assert (await artifacts.fetch(SHA)).read_bytes() == MODEL


async def test_what_is_damaged_in_the_store_is_refused_and_not_kept(artifacts: Artifacts, s3: S3Store, place: Place):
    await put_blob(s3, SHA, b"something else")
    with pytest.raises(ArtifactError, match=f"{SHA} has the SHA-256 .* damaged"):
        await artifacts.fetch(SHA)
    assert kept(place) == []


async def test_what_is_not_in_the_store_is_named_and_the_next_one_is_fetched(artifacts: Artifacts, s3: S3Store):
    with pytest.raises(ArtifactError, match="NoSuchKey"):
        await artifacts.fetch("ab" * 32)
    await put_blob(s3, SHA, MODEL)
    assert (await artifacts.fetch(SHA)).read_bytes() == MODEL


async def test_what_nothing_wants_goes_beyond_its_bound(artifacts: Artifacts, s3: S3Store, place: Place):
    wanted, unwanted = b"wanted", os.urandom(place.max_bytes + 1)
    shas = [sha256(content).hexdigest() for content in (wanted, unwanted)]
    for digest, content in zip(shas, (wanted, unwanted), strict=True):
        await put_blob(s3, digest, content)
        await artifacts.fetch(digest)
    await artifacts.tidy(shas[:1])
    assert kept(place) == shas[:1]


async def test_a_directory_that_cannot_be_written_is_the_files_error(place: Place, s3: S3Store, tmp_path: Path):
    await put_blob(s3, SHA, MODEL)
    (tmp_path / "file").touch()
    async with Fetcher(replace(place, root=str(tmp_path / "file"))) as fetcher:
        with pytest.raises(ArtifactError, match="cannot be written to disk: Not a directory"):
            await fetcher.fetch(SHA)
