"""Receiving files: whole or not at all, limited in size, number and idleness, and cheap the second time."""

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headrace_registry.artifacts import pace
from headrace_registry.artifacts.blobs import MemoryBlobs, blob_key
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.uploads import Header, UploadLimits, Uploads
from headrace_registry.decisions.files import ArtifactType
from headrace_servicekit.errors import (
    DeadlineExceeded,
    InvalidArgument,
    OutOfRange,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from headrace_servicekit.identity import Identity, act_as
from headrace_servicekit.testing import FakeClock, eventually

from tests.kit.registry.memory_store import MemoryStore

JSON = ArtifactType.JSON
CONTENT = b'{"labels": ["a", "b", "c"]}'
SHA = hashlib.sha256(CONTENT).hexdigest()


async def read_nothing(_file, _size):
    raise AssertionError("only JSON is uploaded here")


class Rig:
    """Uploads over memory. folder: for temporary files."""

    def __init__(self, folder: Path, **limits) -> None:
        self.store, self.blobs, self.folder = MemoryStore(), MemoryBlobs(), folder
        told = {"max_bytes": 1000, "max_uploads": 2, "idle_s": 5.0, "min_bytes_per_s": 100, "directory": folder}
        limit = UploadLimits(**told | limits)
        self.clock = FakeClock()
        self.uploads = Uploads(self.store, self.blobs, Inspection(read_nothing), limit, self.clock)

    def nothing_is_left(self) -> bool:
        return not self.blobs.kept and not list(self.folder.iterdir()) and self.uploads.active == 0


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_file_is_stored_under_its_sha256(rig):
    blob = await rig.uploads.receive(Header(JSON), pieces(CONTENT[:5], b"", CONTENT[5:]))
    assert (blob.sha256, blob.size_bytes) == (SHA, len(CONTENT))
    assert rig.blobs.kept == {blob_key(SHA): CONTENT}
    assert await rig.store.blob(SHA, JSON) == blob
    assert not list(rig.folder.iterdir())


@pytest.mark.parametrize(
    ("header", "kind", "reason"),
    [
        pytest.param(Header(JSON, sha256="0" * 64), InvalidArgument, "DIGEST_MISMATCH", id="other digest"),
        pytest.param(Header(JSON, size_bytes=3), InvalidArgument, "SIZE_MISMATCH", id="other size"),
        pytest.param(Header(ArtifactType.PARQUET), InvalidArgument, "ARTIFACT_TYPE_REFUSED", id="other type"),
        pytest.param(Header(JSON, size_bytes=1001), OutOfRange, "ARTIFACT_TOO_LARGE", id="announced too large"),
    ],
)
async def test_what_is_refused_leaves_nothing(rig, header, kind, reason):
    with pytest.raises(kind) as caught:
        await rig.uploads.receive(header, pieces(CONTENT))
    assert caught.value.reason == reason
    assert rig.nothing_is_left()


async def test_the_limit_holds_for_what_arrives_not_for_what_was_announced(rig):
    with pytest.raises(OutOfRange):
        await rig.uploads.receive(Header(JSON, size_bytes=5), pieces(*[b" " * 100] * 11))
    assert rig.nothing_is_left()


async def test_a_chunk_beyond_its_limit_is_refused(tmp_path):
    rig = Rig(tmp_path, max_bytes=10**9)
    with pytest.raises(InvalidArgument, match="in one message"):
        await rig.uploads.receive(Header(JSON), pieces(b" " * (1024 * 1024 + 1)))


async def test_a_stream_that_breaks_leaves_nothing(rig):
    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await rig.uploads.receive(Header(JSON), broken())
    assert rig.nothing_is_left()


async def test_a_cancelled_upload_leaves_nothing(rig):
    began = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        began.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(rig.uploads.receive(Header(JSON), stuck()))
    await began.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert rig.nothing_is_left()


async def test_an_idle_upload_is_given_up(tmp_path):
    rig = Rig(tmp_path, idle_s=0.05)

    async def idle() -> AsyncIterator[bytes]:
        yield CONTENT[:10]
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded, match="nothing was sent"):
        await rig.uploads.receive(Header(JSON), idle())
    assert rig.nothing_is_left()


async def test_an_upload_that_trickles_is_given_up_and_told_what_is_fast_enough(rig):
    async def trickling() -> AsyncIterator[bytes]:
        for byte in CONTENT:
            await rig.clock.advance(4.0)  # never idle for 5 s
            yield bytes([byte])

    with pytest.raises(DeadlineExceeded, match=r"2 bytes took 8 s .* at least 100 bytes a second") as caught:
        await rig.uploads.receive(Header(JSON), trickling())
    assert caught.value.reason == "UPLOAD_TOO_SLOW"
    assert rig.nothing_is_left()


async def test_an_upload_that_sends_nothing_but_empty_chunks_is_given_up(rig):
    async def empty() -> AsyncIterator[bytes]:
        for _ in range(20):
            await rig.clock.advance(1.0)
            yield b""

    with pytest.raises(DeadlineExceeded, match="0 bytes took 6 s"):
        await rig.uploads.receive(Header(JSON), empty())
    assert rig.nothing_is_left()


async def test_an_upload_may_be_behind_for_a_while_and_as_slow_as_is_asked_for_ever(rig):
    async def steady() -> AsyncIterator[bytes]:
        await rig.clock.advance(4.0)
        yield b"[" + b" " * 98
        for _ in range(8):
            await rig.clock.advance(1.0)
            yield b" " * 100
        yield b"]"

    assert (await rig.uploads.receive(Header(JSON), steady())).size_bytes == 900


async def test_uploads_beyond_the_limit_are_told_to_wait(tmp_path):
    rig = Rig(tmp_path, max_uploads=1)
    release = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield CONTENT
        await release.wait()

    first = asyncio.create_task(rig.uploads.receive(Header(JSON), held()))
    await eventually(lambda: rig.uploads.active)
    with pytest.raises(ResourceExhausted) as caught:
        await rig.uploads.receive(Header(JSON), pieces(CONTENT))
    assert caught.value.retry_after_s
    release.set()
    assert (await first).sha256 == SHA


class Silent:
    """Uploads of clients that send one piece and then nothing."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.by_client: dict[str, list[asyncio.Task]] = {}

    async def come(self, client: str, count: int = 1) -> list[ServiceError]:
        """Let a client begin uploads; return the refusals."""

        async def forever() -> AsyncIterator[bytes]:
            yield CONTENT
            await asyncio.Event().wait()

        async def receive() -> None:
            act_as(Identity(client))
            await self.rig.uploads.receive(Header(JSON), forever())

        tasks = [asyncio.create_task(receive()) for _ in range(count)]
        self.by_client.setdefault(client, []).extend(tasks)
        await eventually(lambda: self.waiting + self.ended >= len(self.tasks))
        refused = [error for task in tasks if task.done() and isinstance(error := task.exception(), ResourceExhausted)]
        return list(refused)

    @property
    def tasks(self) -> list[asyncio.Task]:
        return [task for tasks in self.by_client.values() for task in tasks]

    @property
    def waiting(self) -> int:
        return sum(pace.size_bytes > 0 and pace.waiting for pace in self.rig.uploads.coming)

    @property
    def ended(self) -> int:
        return sum(task.done() for task in self.tasks)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def silent(tmp_path):
    uploads = Silent(Rig(tmp_path, max_uploads=8, idle_s=600.0))
    yield uploads
    await uploads.end()


async def test_eight_silent_uploads_of_one_client_leave_places_for_others(silent):
    refused = await silent.come("greedy", 8)
    assert {(error.reason, error.retry_after_s) for error in refused} == {("TOO_MANY_UPLOADS_OF_CLIENT", 2.0)}
    assert len(refused) == 4
    act_as(Identity("modest"))
    assert (await silent.rig.uploads.receive(Header(JSON), pieces(CONTENT))).sha256 == SHA


async def test_a_silent_upload_makes_room_when_somebody_finds_no_place(silent):
    for client in ("a", "a", "a", "a", "b", "b", "c", "d"):
        assert not await silent.come(client)
    await silent.rig.clock.advance(pace.SILENT_S - 1)
    assert [error.reason for error in await silent.come("late")] == ["TOO_MANY_UPLOADS"]
    assert silent.ended == 1, "nobody has been silent for long"
    await silent.rig.clock.advance(1)
    assert await silent.come("late"), "the place is free for the next attempt"
    await eventually(lambda: silent.rig.uploads.active == 7)
    assert not await silent.come("late")
    ended = [error for task in silent.tasks if task.done() and isinstance(error := task.exception(), DeadlineExceeded)]
    assert [error.reason for error in ended] == ["UPLOAD_TOO_SLOW"]
    assert "others wait" in str(ended[0])


async def test_a_client_that_has_its_share_ends_its_own_silent_upload_and_nobody_elses(silent):
    await silent.come("other")
    await silent.rig.clock.advance(60)
    await silent.come("greedy", 4)
    await silent.rig.clock.advance(pace.SILENT_S)
    assert await silent.come("greedy")
    await eventually(lambda: any(task.done() for task in silent.by_client["greedy"][:4]))
    assert not silent.by_client["other"][0].done()


async def test_of_uploads_that_come_slowly_the_one_that_is_furthest_behind_makes_room():
    # Eight clients at exactly the least rate would hold every place for hours.
    patience = asyncio.timeout(None)
    slow, fast = pace.Pace(Identity("slow")), pace.Pace(Identity("fast"))
    for second in range(40):
        for one, rate in ((slow, 64 * 1024), (fast, pace.FULL_RATE_BYTES_PER_S)):
            one.waits(second, patience)
            one.came(second + 1, rate)
    for one in (slow, fast):
        one.waits(40, patience)
    assert (slow.overdue(40) > 1, fast.overdue(40)) == (True, 0)

    async def wait() -> None:
        async with patience:
            pace.make_room([fast, slow], 40)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait()
    assert (slow.makes_room, fast.makes_room) == (True, False)


async def test_the_same_bytes_again_are_not_stored_again(rig):
    await rig.uploads.receive(Header(JSON), pieces(CONTENT))

    async def put(*_: object) -> None:
        raise AssertionError("stored again")

    rig.blobs.put = put
    assert (await rig.uploads.receive(Header(JSON), pieces(CONTENT))).sha256 == SHA


async def test_known_bytes_need_not_be_sent_at_all(rig):
    await rig.uploads.receive(Header(JSON), pieces(CONTENT))

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("read")
        yield b""

    blob = await rig.uploads.receive(Header(JSON, sha256=SHA, size_bytes=len(CONTENT)), unread())
    assert blob.size_bytes == len(CONTENT)


async def test_bytes_that_the_blob_store_lost_are_mended_by_another_upload(rig):
    await rig.uploads.receive(Header(JSON), pieces(CONTENT))
    rig.blobs.kept.clear()
    await rig.uploads.receive(Header(JSON, sha256=SHA), pieces(CONTENT))
    assert rig.blobs.kept == {blob_key(SHA): CONTENT}


async def test_known_bytes_of_another_type_are_looked_into_again(rig):
    await rig.uploads.receive(Header(JSON), pieces(CONTENT))
    with pytest.raises(InvalidArgument, match="Parquet"):
        await rig.uploads.receive(Header(ArtifactType.PARQUET, sha256=SHA), pieces(CONTENT))


async def test_a_full_disk_is_unavailable(rig):
    async def full() -> AsyncIterator[bytes]:
        yield CONTENT
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(Unavailable) as caught:
        await rig.uploads.receive(Header(JSON), full())
    assert caught.value.retry_after_s


async def test_without_the_blob_store_nothing_is_recorded(rig):
    async def down(*_: object) -> None:
        raise Unavailable("the artifact store cannot be reached")

    rig.blobs.put = down
    with pytest.raises(ServiceError):
        await rig.uploads.receive(Header(JSON), pieces(CONTENT))
    assert await rig.store.blob(SHA, JSON) is None
    assert rig.nothing_is_left()
