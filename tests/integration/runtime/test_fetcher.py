"""The process that fetches model files: whatever becomes of it or of the store, nothing hangs, the next file comes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from headrace_runtime.artifacts.cache import ArtifactError
from headrace_runtime.artifacts.place import Place
from headrace_runtime.artifacts.process import Fetcher
from headrace_servicekit.testing import eventually

from tests.kit.batcher.service import place_for, put_blob
from tests.kit.stores.servers import S3Store

MODEL = b"a model"
SHA = sha256(MODEL).hexdigest()


@pytest.fixture
def place(s3: S3Store, tmp_path: Path) -> Place:
    return place_for(s3, tmp_path)


class SilentStore:
    """A store that takes requests and answers none. open: its connections."""

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.taken += 1
        try:
            while await reader.read(4096):
                pass
        finally:
            self.open -= 1
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def pid_of(place: Place) -> int:
    """Return the process that fetches into a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if "artifacts.fetcher" in command and f'"{place.root}"' in command:
            return int(process.name)
    return 0


@pytest.mark.faults
async def test_one_that_is_killed_fails_what_it_was_fetching_and_is_started_again(place: Place):
    store = SilentStore()
    async with store.listening() as endpoint, Fetcher(replace(place, endpoint=endpoint)) as fetcher:
        fetching = asyncio.create_task(fetcher.fetch(SHA))
        await eventually(lambda: store.open == 1, within=30)
        os.kill(pid_of(place), signal.SIGKILL)
        with pytest.raises(ArtifactError, match=r"the process that fetches files ended \(exit code -9\)"):
            await fetching
        again = asyncio.create_task(fetcher.fetch(SHA))
        await eventually(lambda: store.taken == 2, within=30)
        again.cancel()


@pytest.mark.faults
async def test_one_that_does_not_answer_in_time_is_killed_and_the_next_fetches(place: Place, s3: S3Store):
    await put_blob(s3, SHA, MODEL)
    async with Fetcher(replace(place, fetch_timeout_s=0.2), spare_s=0.2) as fetcher:
        os.kill(pid_of(place), signal.SIGSTOP)
        with pytest.raises(ArtifactError, match=r"did not answer within 0\.4 s"):
            await fetcher.fetch(SHA)
    async with Fetcher(place) as fetcher:
        assert (await fetcher.fetch(SHA)).read_bytes() == MODEL


async def test_a_download_that_takes_too_long_is_given_up(place: Place):
    store = SilentStore()
    async with (
        store.listening() as endpoint,
        Fetcher(replace(place, endpoint=endpoint, fetch_timeout_s=0.3)) as fetcher,
    ):
        with pytest.raises(ArtifactError, match=r"did not arrive within 0\.3 s"):
            await fetcher.fetch(SHA)


async def test_a_file_that_is_not_wanted_any_more_is_not_fetched_on(place: Place):
    store = SilentStore()
    async with store.listening() as endpoint, Fetcher(replace(place, endpoint=endpoint)) as fetcher:
        fetching = asyncio.create_task(fetcher.fetch(SHA))
        await eventually(lambda: store.open == 1, within=30)
        fetching.cancel()
        await eventually(lambda: store.open == 0, within=5)
        assert pid_of(place)


async def test_a_store_that_is_not_there_is_said(place: Place):
    async with Fetcher(replace(place, endpoint="http://127.0.0.1:1")) as fetcher:
        with pytest.raises(ArtifactError, match="S3 does not answer"):
            await fetcher.fetch(SHA)


async def test_it_steps_back_for_those_that_answer_callers_and_ends_with_them(place: Place, s3: S3Store):
    await put_blob(s3, SHA, MODEL)
    async with Fetcher(place) as fetcher:
        await fetcher.fetch(SHA)
        assert os.getpriority(os.PRIO_PROCESS, pid_of(place)) > os.getpriority(os.PRIO_PROCESS, 0)
    assert pid_of(place) == 0
