"""Passes over models and bytes, in memory: what they take, what they leave, what they tell."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from headrace_registry.artifacts.blobs import MemoryBlobs, blob_key
from headrace_registry.artifacts.content import Inspection
from headrace_registry.artifacts.uploads import Header, UploadLimits, Uploads
from headrace_registry.catalog.pages import PageRequest
from headrace_registry.catalog.reads import Catalog
from headrace_registry.catalog.registration import Registrations
from headrace_registry.catalog.writes import Write
from headrace_registry.decisions import defaults
from headrace_registry.decisions.files import Artifact, ArtifactType, ModelFile, ModelPort
from headrace_registry.decisions.models import Action, Lineage, Model, Stage, Version, VersionRef
from headrace_registry.decisions.retention import Policy
from headrace_registry.promotion.holds import Holds
from headrace_registry.promotion.promotions import Promotions
from headrace_registry.retention.garbage_collection import CLIENT, GarbageCollector
from headrace_servicekit.errors import PreconditionFailed, Unavailable
from headrace_servicekit.testing import FakeClock

from tests.kit.registry.memory_store import MemoryStore
from tests.kit.registry.memory_transaction import MemoryTransaction

DAY = timedelta(days=1)
POLICY = Policy(grace=DAY, archive_after=30 * DAY, collect_after=90 * DAY)
FILE = ModelFile((ModelPort("x", "FP32", "", (None, 4)),), (ModelPort("y", "FP32", "", (None, 4)),))
ANN = Write("ann")


async def read_onnx(_file, _size) -> ModelFile:
    return FILE


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class InterruptedStore(MemoryStore):
    """A store in which something happens just before a transaction. interruptions: one for each of the next ones."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock, begin_time=clock.now() - timedelta(seconds=1))
        self.interruptions: list[Callable[[], Awaitable[object]]] = []

    @asynccontextmanager
    async def transaction(self, *, validate_only: bool = False) -> AsyncIterator[MemoryTransaction]:
        if self.interruptions:
            await self.interruptions.pop(0)()
        async with super().transaction(validate_only=validate_only) as transaction:
            yield transaction


async def nothing() -> None:
    pass


class Rig:
    """A registry's use cases over memory, on a clock that the test moves."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.blobs, self.clock = MemoryBlobs(), FakeClock()
        self.store = InterruptedStore(self.clock)
        self.uploads = Uploads(
            self.store, self.blobs, Inspection(read_onnx), UploadLimits(10**6, 9, 5.0, 1), self.clock
        )
        self.registrations = Registrations(self.store, self.clock)
        self.promotions = Promotions(self.store, self.clock)
        self.holds = Holds(self.store, self.clock)
        self.collection = GarbageCollector(self.store, self.blobs, policy, self.clock)

    async def upload(self, content: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        blob = await self.uploads.receive(Header(ArtifactType.ONNX), chunks())
        self.blobs.modify_times[blob_key(blob.sha256)] = self.clock.now()
        return blob.sha256

    async def register(self, name: str, content: bytes, parent: str = "") -> VersionRef:
        artifact = Artifact("model.onnx", ArtifactType.ONNX, await self.upload(content))
        ref = VersionRef("digits", name)
        declared = Version(ref, defaults.filled(), artifacts=(artifact,), lineage=Lineage(parent_version=parent))
        await self.registrations.create_version(declared, ANN)
        return ref

    async def promote(self, ref: VersionRef, stage: Stage = Stage.PRODUCTION) -> None:
        await self.promotions.promote(ref, stage, "", ANN)

    async def days(self, days: float) -> None:
        await self.clock.advance(days * 86400)

    async def stage(self, ref: VersionRef) -> Stage:
        version = await self.store.version(ref)
        assert version is not None
        return version.stage


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.registrations.create_model(Model("digits", gates=()), ANN)
    return rig


async def test_bytes_that_no_version_names_go_after_the_grace_and_come_back_by_another_upload(rig):
    await rig.upload(b"unnamed")
    await rig.register("v1", b"named")
    await rig.days(0.99)
    assert not (await rig.collection.run()).removed
    await rig.days(0.01)
    assert (await rig.collection.run()).removed == {sha(b"unnamed"): len(b"unnamed")}
    assert set(rig.blobs.kept) == {blob_key(sha(b"named"))}
    assert not (await rig.collection.run()).removed
    await rig.register("v2", b"unnamed")
    assert blob_key(sha(b"unnamed")) in rig.blobs.kept


async def test_uploading_again_begins_the_grace_anew(rig):
    await rig.upload(b"unnamed")
    await rig.days(0.9)
    await rig.upload(b"unnamed")
    await rig.days(0.9)
    assert not (await rig.collection.run()).removed


async def test_a_clock_that_is_behind_makes_nothing_old_that_was_archived_just_now(rig):
    ref = await rig.register("v1", b"old")
    await rig.days(95)
    await rig.promote(ref, Stage.ARCHIVED)
    behind = FakeClock(rig.clock.now() - timedelta(minutes=1))
    assert not (await GarbageCollector(rig.store, rig.blobs, POLICY, behind).run()).collected


async def test_a_dry_run_tells_the_same_and_changes_nothing(rig):
    ref = await rig.register("v1", b"old")
    await rig.upload(b"unnamed")
    await rig.days(31)
    before = dict(rig.blobs.kept), await rig.store.position()
    planned = await rig.collection.run(dry_run=True)
    assert (dict(rig.blobs.kept), await rig.store.position()) == before
    assert planned == await rig.collection.run()
    assert planned.archived == [ref]
    assert set(planned.removed) == {sha(b"unnamed")}


async def test_a_version_is_archived_then_given_up_then_its_bytes_go_and_its_name_stays(rig):
    first = await rig.register("v1", b"one")
    await rig.register("v2", b"two")
    await rig.promote(VersionRef("digits", "v2"))
    await rig.days(30)
    assert (await rig.collection.run()).archived == [first]
    assert await rig.stage(first) is Stage.ARCHIVED
    await rig.days(90)
    assert (await rig.collection.run()).collected == [first]
    assert blob_key(sha(b"one")) in rig.blobs.kept
    await rig.days(1)
    assert set((await rig.collection.run()).removed) == {sha(b"one")}
    assert set(rig.blobs.kept) == {blob_key(sha(b"two"))}
    for write in (rig.promote(first), rig.promote(first, Stage.STAGING), rig.register("v1", b"one")):
        with pytest.raises(PreconditionFailed) as caught:
            await write
        assert caught.value.reason == "VERSION_COLLECTED"
    newest = (await rig.store.events("digits", before=None, limit=9))[0]
    assert (newest.action, newest.version, newest.client) == (Action.VERSION_COLLECTED, "v1", CLIENT)
    assert "90 days" in newest.reason


async def test_moving_a_version_begins_its_time_anew(rig):
    ref = await rig.register("v1", b"one")
    await rig.days(29)
    await rig.promote(ref, Stage.STAGING)
    await rig.days(29)
    assert not (await rig.collection.run()).archived
    await rig.days(1)
    assert (await rig.collection.run()).archived == [ref]


async def test_without_ages_no_model_is_read():
    rig = Rig(Policy(grace=DAY))
    await rig.upload(b"orphan")
    await rig.clock.advance(DAY.total_seconds())

    async def read(**_: object) -> list:
        raise Unavailable("all versions of all models are more than one answer of the database holds")

    rig.store.states = read
    assert (await rig.collection.run()).removed == {sha(b"orphan"): 6}


async def test_what_is_held_stays_until_the_hold_ends(rig):
    ref = await rig.register("v1", b"one")
    await rig.promote(ref, Stage.ARCHIVED)
    await rig.holds.hold(ref, "audit", 200 * DAY, "", "ann")
    await rig.days(199)
    assert not (await rig.collection.run()).collected
    await rig.days(1)
    assert (await rig.collection.run()).collected == [ref]
    with pytest.raises(PreconditionFailed, match="were removed"):
        await rig.holds.hold(ref, "audit", DAY, "", "ann")


async def test_bytes_that_two_versions_share_stay_while_one_is_kept(rig):
    first = await rig.register("v1", b"same")
    await rig.register("v2", b"same")
    await rig.promote(VersionRef("digits", "v2"))
    await rig.promote(first, Stage.ARCHIVED)
    await rig.days(90)
    assert (await rig.collection.run()).collected == [first]
    await rig.days(2)
    assert not (await rig.collection.run()).removed


async def test_the_bytes_of_a_deleted_model_go_after_the_grace(rig):
    ref = await rig.register("v1", b"one")
    await rig.promote(ref)
    await rig.registrations.delete_model("digits", "", ANN)
    await rig.days(0.9)
    assert not (await rig.collection.run()).removed
    await rig.days(0.1)
    assert set((await rig.collection.run()).removed) == {sha(b"one")}
    assert await Catalog(rig.store, rig.clock).events("digits", PageRequest()) is not None


async def test_what_a_crash_left_in_the_store_of_bytes_goes_after_the_grace(rig):
    rig.blobs.kept[blob_key(sha(b"stray"))] = b"stray"
    rig.blobs.modify_times[blob_key(sha(b"stray"))] = rig.clock.now() + timedelta(hours=1)
    await rig.days(1)
    assert not (await rig.collection.run()).removed
    await rig.days(1)
    assert (await rig.collection.run()).removed == {sha(b"stray"): 5}


async def test_bytes_from_before_a_restore_are_left_alone(rig):
    rig.blobs.kept[blob_key(sha(b"lost"))] = b"lost"
    rig.blobs.modify_times[blob_key(sha(b"lost"))] = rig.clock.now() - DAY
    await rig.days(100)
    assert not (await rig.collection.run()).removed


async def test_bytes_whose_removal_failed_count_as_gone_and_are_removed_later(rig):
    await rig.upload(b"unnamed")
    await rig.days(2)
    remove = rig.blobs.remove

    async def down(_sha256: str) -> None:
        raise Unavailable("the artifact store cannot be reached")

    rig.blobs.remove = down
    with pytest.raises(Unavailable):
        await rig.collection.run()
    assert await rig.store.blob(sha(b"unnamed"), ArtifactType.ONNX) is None
    rig.blobs.remove = remove
    assert set((await rig.collection.run()).removed) == {sha(b"unnamed")}


@pytest.mark.parametrize("moment", [0, 1])
async def test_an_upload_before_either_step_of_a_removal_keeps_its_bytes(rig, moment):
    await rig.upload(b"unnamed")
    await rig.days(2)

    async def upload_again() -> None:
        await rig.upload(b"unnamed")

    rig.store.interruptions = [nothing] * moment + [upload_again]
    assert not (await rig.collection.run()).removed
    assert rig.store.interruptions == []
    assert rig.blobs.kept == {blob_key(sha(b"unnamed")): b"unnamed"}
    assert await rig.store.blob(sha(b"unnamed"), ArtifactType.ONNX) is not None


async def test_a_version_that_gets_a_name_while_it_is_looked_at_is_not_given_up(rig):
    ref = await rig.register("v1", b"one")
    await rig.promote(ref, Stage.ARCHIVED)
    await rig.days(90)

    async def name_it() -> None:
        await rig.registrations.set_alias(ref, "champion", "", ANN)

    rig.store.interruptions = [name_it]
    assert not (await rig.collection.run()).collected
