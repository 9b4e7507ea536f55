"""Files are what their digest says or they are not kept, and those that nothing wants are bounded."""

import os
import time
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from headrace_runtime.artifacts.cache import PAUSES, ArtifactError, BlobCache
from headrace_runtime.artifacts.place import read_credentials


class Blobs:
    """Blobs in memory, read so many bytes at a time; `reads` counts downloads."""

    def __init__(self, *contents: bytes, chunk: int = 3) -> None:
        self._chunk = chunk
        self.by_sha = {sha256(content).hexdigest(): content for content in contents}
        self.reads = 0

    async def read(self, sha: str) -> AsyncIterator[bytes]:
        self.reads += 1
        if sha not in self.by_sha:
            raise ArtifactError(f"blob {sha} cannot be read from S3: NoSuchKey")
        content = self.by_sha[sha]
        for at in range(0, len(content), self._chunk):
            yield content[at : at + self._chunk]


def cache_of(tmp_path, blobs: Blobs, max_bytes: int = 10) -> BlobCache:
    return BlobCache(tmp_path / "blobs", blobs, max_bytes=max_bytes, fetch_timeout_s=5)


async def test_a_file_is_downloaded_once_and_read_from_disk_after_that(tmp_path):
    blobs = Blobs(b"a model")
    (sha,) = blobs.by_sha
    for _ in range(2):
        assert (await cache_of(tmp_path, blobs).fetch(sha)).read_bytes() == b"a model"
    assert blobs.reads == 1


async def test_a_file_that_is_fetched_gently_leaves_most_of_the_time_to_others(tmp_path):
    blobs = Blobs(bytes(32 * 1024 * 1024), chunk=1024 * 1024)
    (sha,) = blobs.by_sha
    began, used = time.monotonic(), time.thread_time()
    await cache_of(tmp_path, blobs).fetch(sha, gently=True)
    assert time.monotonic() - began > PAUSES / 2 * (time.thread_time() - used)


async def test_other_bytes_than_promised_are_refused_and_not_kept(tmp_path):
    blobs = Blobs()
    blobs.by_sha["ab" * 32] = b"something else"
    with pytest.raises(ArtifactError, match="damaged"):
        await cache_of(tmp_path, blobs).fetch("ab" * 32)
    assert list((tmp_path / "blobs").iterdir()) == []


async def test_a_download_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ArtifactError, match="NoSuchKey"):
        await cache_of(tmp_path, Blobs()).fetch("ab" * 32)
    assert list((tmp_path / "blobs").iterdir()) == []


async def test_a_damaged_file_on_disk_is_downloaded_again(tmp_path):
    blobs = Blobs(b"a model")
    (sha,) = blobs.by_sha
    path = await cache_of(tmp_path, blobs).fetch(sha)
    path.write_bytes(b"a m0del")
    assert (await cache_of(tmp_path, blobs).fetch(sha)).read_bytes() == b"a model"


async def test_unwanted_files_go_by_age_until_they_fit_and_wanted_ones_stay(tmp_path):
    contents = [b"oldest", b"older.", b"newer.", b"wanted"]
    blobs = Blobs(*contents)
    cache = cache_of(tmp_path, blobs, max_bytes=12)
    wanted = sha256(b"wanted").hexdigest()
    for age, content in enumerate(reversed(contents)):
        path = await cache.fetch(sha256(content).hexdigest())
        os.utime(path, (1000 - age, 1000 - age))
    await cache.tidy([wanted])
    kept = {path.read_bytes() for path in (tmp_path / "blobs").iterdir()}
    assert kept == {b"older.", b"newer.", b"wanted"}


async def test_tidying_before_the_first_download_is_nothing(tmp_path):
    await cache_of(tmp_path, Blobs()).tidy([])


def test_credentials_are_those_of_the_default_profile(tmp_path):
    path = tmp_path / "credentials"
    path.write_text("[other]\naws_access_key_id = x\n[default]\naws_access_key_id = k\naws_secret_access_key = s%s\n")
    assert read_credentials(path) == {"aws_access_key_id": "k", "aws_secret_access_key": "s%s"}
