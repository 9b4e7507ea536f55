"""What a store keeps for whom and for how long: holds, deleted models, bytes that are needed, uploads."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from headrace_registry.decisions.files import ArtifactType, Blob, ContentUse, Upload
from headrace_registry.decisions.model_lists import EVERY_MODEL
from headrace_registry.decisions.models import Action, Format, Hold, PoolFormats, VersionRef
from headrace_registry.storage.store import Store

from tests.kit.registry.contents import BLOB, KEY, LABELS, NOW, add_version, event, full_version, make_model


async def test_holds_are_replaced_released_listed_and_expire(store):
    await make_model(store)
    for number in (2, 3):
        await add_version(store, full_version(version=f"v{number}", epoch=number))

    def hold(version: str, holder: str, hours: int) -> Hold:
        return Hold(VersionRef("digits", version), holder, "why", "ann", NOW, NOW + timedelta(hours=hours))

    held = [hold("v2", "audit", 2), hold("v2", "router/1", 1), hold("v3", "audit", 3)]
    async with store.transaction() as transaction:
        for one in (held[2], replace(held[0], expire_time=NOW), held[1], held[0]):
            await transaction.put_hold(one)
        assert await transaction.holds("digits", NOW) == held
        assert await transaction.holds("other", NOW) == []
    assert await store.holds("digits", NOW, after=("", ""), limit=2) == held[:2]
    assert await store.holds("digits", NOW, after=("v2", "audit"), limit=9) == held[1:]
    assert await store.holds("digits", NOW + timedelta(hours=2), after=("", ""), limit=9) == held[2:]
    async with store.transaction() as transaction:
        await transaction.delete_hold(held[0].ref, "audit")
        await transaction.delete_hold(held[0].ref, "never")
    assert await store.holds("digits", NOW, after=("", ""), limit=9) == held[1:]
    await store.expire_holds(NOW + timedelta(hours=2))
    assert await store.holds("digits", NOW, after=("", ""), limit=9) == held[2:]


async def delete(store: Store, name: str = "digits") -> None:
    async with store.transaction() as transaction:
        model = await transaction.lock_model(name)
        assert model is not None
        await transaction.collect_versions(name, None, NOW)
        deleted = replace(model, epoch=model.epoch + 1, delete_time=NOW)
        await transaction.save(deleted, [event(deleted.epoch, action=Action.MODEL_DELETED)])


async def test_a_deleted_model_is_gone_but_for_its_history_and_its_place_in_the_order_of_changes(store):
    await make_model(store)
    await make_model(store, "other")
    await add_version(store, full_version(epoch=2))
    before = await store.position()
    await delete(store)
    assert await store.model("digits") is None
    assert [model.name for model in await store.models(EVERY_MODEL, after=None, limit=9)] == ["other"]
    assert [state.model.name for state in await store.states(after="", limit=9)] == ["other"]
    assert await store.version(VersionRef("digits", "v1")) is None
    assert await store.versions("digits", before=None, limit=9, stage=None) == []
    assert len(await store.events("digits", before=None, limit=9)) == 3
    (state,) = await store.changed_since(before.sequence, limit=9)
    assert (state.model.name, state.model.delete_time, state.versions) == ("digits", NOW, ())
    async with store.transaction() as transaction:
        assert await transaction.lock_model("digits") is None
        assert await transaction.state("digits") is None
        again = await transaction.open_model("digits", NOW)
        assert (again.epoch, again.delete_time) == (3, NOW)


async def test_versions_that_were_given_up_are_not_told_to_watches_and_stay_otherwise(store):
    await make_model(store)
    for number in (2, 3):
        await add_version(store, full_version(version=f"v{number}", epoch=number))
    async with store.transaction() as transaction:
        state = await transaction.state("digits")
        assert state is not None
        assert [version.ref.version for version in state.versions] == ["v3", "v2"]
        await transaction.collect_versions("digits", ["v2"], NOW)
        await transaction.collect_versions("digits", ["v2"], NOW + timedelta(hours=1))
    given_up = await store.version(VersionRef("digits", "v2"))
    assert given_up == replace(full_version(version="v2", epoch=2), collect_time=NOW)
    assert len(await store.versions("digits", before=None, limit=9, stage=None)) == 2
    (state,) = await store.states(after="", limit=1)
    assert [version.ref.version for version in state.versions] == ["v3"]


async def use_of(store: Store, sha256: str = BLOB.sha256, now: datetime = NOW) -> ContentUse:
    async with store.transaction() as transaction:
        return await transaction.content_use(sha256, now)


async def test_who_needs_stored_bytes(store):
    assert await use_of(store) == ContentUse(BLOB.sha256, BLOB.size_bytes, NOW)
    assert await use_of(store, "9" * 64) == ContentUse("9" * 64)
    await store.touch_blob(BLOB.sha256, BLOB.type, NOW + timedelta(hours=1))
    await store.touch_blob(BLOB.sha256, BLOB.type, NOW)
    touched = ContentUse(BLOB.sha256, BLOB.size_bytes, NOW + timedelta(hours=1))
    assert await use_of(store) == touched
    await make_model(store)
    await add_version(store, full_version(epoch=2))
    assert await use_of(store) == replace(touched, needed=True)
    async with store.transaction() as transaction:
        await transaction.collect_versions("digits", ["v1"], NOW)
    assert await use_of(store) == replace(touched, given_up_time=NOW)
    expected = [
        replace(touched, given_up_time=NOW),
        ContentUse(LABELS.sha256, LABELS.size_bytes, NOW, given_up_time=NOW),
    ]
    assert await store.contents(NOW, after="", limit=9) == expected
    assert await store.contents(NOW, after=BLOB.sha256, limit=9) == expected[1:]
    assert await store.stored([BLOB.sha256, "9" * 64]) == {BLOB.sha256}


@pytest.mark.parametrize(
    "named", [pytest.param(True, id="named by a version given up"), pytest.param(False, id="named")]
)
async def test_forgotten_bytes_count_as_not_stored_until_they_are_uploaded_again(store, named):
    if named:
        await make_model(store)
        await add_version(store, full_version(epoch=2))
    async with store.transaction() as transaction:
        if named:
            await transaction.collect_versions("digits", None, NOW)
        await transaction.content_use(BLOB.sha256, NOW)
        await transaction.delete_content(BLOB.sha256, NOW)
    assert await store.blob(*KEY) is None
    assert await store.touch_blob(*KEY, NOW) is None
    async with store.transaction() as transaction:
        assert await transaction.blob(*KEY) is None
        assert (await transaction.content_use(BLOB.sha256, NOW)).collected is named
    assert await store.stored([BLOB.sha256]) == set()
    assert [use.sha256 for use in await store.contents(NOW, after="", limit=9)] == [LABELS.sha256]
    await store.put_blob(BLOB, NOW + timedelta(hours=2))
    assert await store.blob(*KEY) == BLOB
    assert (await use_of(store)).touch_time == NOW + timedelta(hours=2)
    if named:
        given_up = await store.version(VersionRef("digits", "v1"))
        assert given_up is not None
        assert len(given_up.artifacts) == 2


async def test_a_registration_waits_for_a_collection_and_finds_the_bytes_gone(store):
    locked, release = asyncio.Event(), asyncio.Event()

    async def collect() -> None:
        async with store.transaction() as transaction:
            assert not (await transaction.content_use(BLOB.sha256, NOW)).needed
            locked.set()
            await release.wait()
            await transaction.delete_content(BLOB.sha256, NOW)

    async def register() -> Blob | None:
        async with store.transaction() as transaction:
            return await transaction.blob(*KEY)

    async def upload() -> Blob | None:
        return await store.touch_blob(*KEY, NOW)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(collect())
        await locked.wait()
        waiting = [tasks.create_task(register()), tasks.create_task(upload())]
        await asyncio.sleep(0.05)  # until they wait for the lock; the assertions hold either way
        release.set()
    assert [task.result() for task in waiting] == [None, None]


async def test_a_collection_waits_for_a_registration_and_finds_the_bytes_needed(store):
    await make_model(store)
    named, release = asyncio.Event(), asyncio.Event()

    async def register() -> None:
        async with store.transaction() as transaction:
            model = await transaction.lock_model("digits")
            assert model is not None
            assert await transaction.blob(*KEY) == BLOB
            named.set()
            await release.wait()
            await transaction.insert_version(full_version(epoch=2))
            await transaction.save(replace(model, epoch=2), [event(2)])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(register())
        await named.wait()
        looking = tasks.create_task(use_of(store))
        await asyncio.sleep(0.05)  # until it waits for the lock; the assertion holds either way
        release.set()
    assert looking.result().needed


async def test_uploads_under_way_are_counted_and_expire(store):
    one = Upload(uuid4(), BLOB.sha256, ArtifactType.ONNX, 9, "ann", False, NOW, NOW + timedelta(hours=1))
    two = replace(one, id=uuid4(), sha256="", staged=True)
    for upload in (one, two):
        await store.open_upload(upload)
    assert (await use_of(store)).uploading
    assert not (await use_of(store, now=NOW + timedelta(hours=1))).uploading
    assert await store.upload(two.id) == two
    await store.open_upload(replace(two, sha256="c" * 64, client="other"))
    assert await store.upload(two.id) == replace(two, sha256="c" * 64)
    assert await store.staged_uploads(NOW, "ann") == (1, 1)
    assert await store.staged_uploads(NOW, "bob") == (1, 0)
    await store.open_upload(replace(two, completed=True))
    assert await store.upload(two.id) == replace(two, completed=True)
    assert await store.staged_uploads(NOW, "ann") == (0, 0)
    assert await store.expired_uploads(NOW, limit=9) == []
    assert {upload.id for upload in await store.expired_uploads(NOW + timedelta(hours=1), limit=9)} == {one.id, two.id}
    await store.close_upload(one.id)
    assert await store.upload(one.id) is None
    assert not (await use_of(store)).uploading


async def test_pools_are_what_was_reported_last(store):
    both = frozenset({Format.ONNX, Format.PYTHON})
    for reported in (
        [PoolFormats("old", both), PoolFormats("default", both)],
        [PoolFormats("default", frozenset()), PoolFormats("gpu", both)],
        [],
    ):
        await store.put_pools(reported)
        async with store.transaction() as transaction:
            assert await transaction.pools() == sorted(reported, key=lambda one: one.name)
