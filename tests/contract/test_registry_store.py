"""What every store of the registry keeps: the same tests on memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from headrace_registry import serving
from headrace_registry.models import (
    Action,
    Artifact,
    ArtifactType,
    Blob,
    ContentUse,
    Contract,
    Event,
    Gate,
    Hold,
    Lineage,
    Measurement,
    Metric,
    MetricSource,
    Model,
    ModelFile,
    ModelPort,
    Stage,
    Task,
    TensorKind,
    TensorSpec,
    Upload,
    Version,
    VersionRef,
)
from headrace_registry.storage.memory import MemoryStore
from headrace_registry.storage.postgres import PostgresStore
from headrace_registry.storage.store import Outcome, Store
from headrace_servicekit.postgres.connections import Address, Connections

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FILE = ModelFile((ModelPort("x", "FP32", "a tensor", (None, 4)),), (ModelPort("y", "", "a map", None, False),))
BLOB = Blob("a" * 64, ArtifactType.ONNX, 123, FILE)
KEY = (BLOB.sha256, BLOB.type)
LABELS = Blob("b" * 64, ArtifactType.JSON, 5)


@pytest.fixture
async def memory_store() -> Store:
    return await with_blobs(MemoryStore())


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[Store]:
    async with Connections(Address(postgres_url), owner="registry", size=10) as connections:
        store = PostgresStore(connections)
        await store.prepare()
        yield await with_blobs(store)


@pytest.fixture(params=["memory_store", "postgres_store"])
def store(request) -> Store:
    return request.getfixturevalue(request.param)


async def with_blobs(store: Store) -> Store:
    await store.put_blob(BLOB, NOW)
    await store.put_blob(LABELS, NOW)
    return store


def full_version(model: str = "digits", version: str = "v1", epoch: int = 1) -> Version:
    """A version in which every field has a value that is not its default."""
    spec = TensorSpec(
        "x", "FP32", (4, -1), nan_allowed=True, kind=TensorKind.NUMERIC, minimum=-1.5, maximum=0.1, sensitive=True
    )
    return Version(
        ref=VersionRef(model, version),
        serving=serving.filled(max_batch_rows=16, max_wait_ms=2.5, instances=2),
        contract=Contract((spec,), (TensorSpec("y", "INT64", columns=("ü",)),), "y", Task.CLASSIFICATION, ("a", "ß")),
        artifacts=(
            Artifact("model.onnx", ArtifactType.ONNX, BLOB.sha256, BLOB.size_bytes),
            Artifact("labels.json", ArtifactType.JSON, LABELS.sha256, LABELS.size_bytes),
        ),
        metrics=(Metric("accuracy", 0.1 + 0.2), Metric("p99", 1e-300, MetricSource.MEASURED)),
        parameters={"depth": "3", "ключ": 'quo"te\n'},
        lineage=Lineage(run="run-1", dataset="digits@3", code_revision="abc"),
        description="ein Versuch",
        signature_hash="c" * 64,
        digest="d" * 64,
        created_by="ann",
        create_time=NOW,
        epoch=epoch,
    )


def event(epoch: int, ordinal: int = 0, **fields) -> Event:
    return Event(epoch, ordinal, fields.pop("action", Action.MODEL_UPDATED), "ann", "because", NOW, **fields)


async def make_model(store: Store, name: str = "digits", **fields) -> Model:
    async with store.transaction() as transaction:
        model = replace(await transaction.open_model(name, NOW), epoch=1, **fields)
        await transaction.save(model, [event(1, action=Action.MODEL_CREATED)])
    made = await store.model(name)
    assert made is not None
    return made


async def add_version(store: Store, version: Version) -> None:
    async with store.transaction() as transaction:
        model = await transaction.lock_model(version.ref.model)
        assert model is not None
        await transaction.insert_version(version)
        await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])


async def touch(store: Store, name: str) -> None:
    async with store.transaction() as transaction:
        model = await transaction.lock_model(name)
        assert model is not None
        await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])


async def test_a_model_comes_back_as_it_was_written(store):
    gates = (
        Gate("accuracy", minimum=0.85),
        Gate("p99", maximum=1 / 3, measured_only=True),
        Gate("auc", minimum_delta=-0.1),
        Gate("auc", maximum_delta=0.1),
        Gate("auc", minimum_ratio=0.9),
        Gate("auc", maximum_ratio=1.1),
    )
    made = await make_model(
        store, description="Ziffern", labels={"team": "ünïcode"}, gates=gates, rollback_targets=("v1", "v2")
    )
    position = await store.position()
    assert made == Model(
        "digits",
        "Ziffern",
        {"team": "ünïcode"},
        gates,
        rollback_targets=("v1", "v2"),
        epoch=1,
        create_time=NOW,
        update_time=NOW,
        incarnation=position.incarnation,
    )


@pytest.mark.parametrize("gates", [None, ()])
async def test_no_gates_told_and_no_gates_wanted_are_kept_apart(store, gates):
    assert (await make_model(store, gates=gates)).gates == gates


async def test_a_version_comes_back_as_it_was_written(store):
    await make_model(store)
    version = full_version()
    await add_version(store, version)
    assert await store.version(version.ref) == version
    assert await store.versions("digits", before=None, limit=10, stage=None) == [version]


async def test_a_blob_comes_back_as_it_was_written(store):
    assert await store.blob(BLOB.sha256, ArtifactType.ONNX) == BLOB
    assert await store.blob(LABELS.sha256, ArtifactType.JSON) == LABELS
    assert await store.blob(BLOB.sha256, ArtifactType.JSON) is None
    async with store.transaction() as transaction:
        assert await transaction.blob(BLOB.sha256, ArtifactType.ONNX) == BLOB


async def test_recording_a_blob_again_changes_nothing(store):
    await store.put_blob(replace(BLOB, size_bytes=999), NOW)
    assert await store.blob(BLOB.sha256, ArtifactType.ONNX) == BLOB


async def test_events_come_back_newest_first_and_by_page(store):
    await make_model(store)
    made = [
        event(2, 0, action=Action.STAGE_CHANGED, version="v1", from_stage=Stage.PRODUCTION, to_stage=Stage.ARCHIVED),
        event(2, 1, action=Action.ROLLED_BACK, version="v0", from_stage=Stage.ARCHIVED, to_stage=Stage.PRODUCTION),
        event(2, 2, action=Action.ALIAS_SET, alias="champion", version="v0"),
    ]
    async with store.transaction() as transaction:
        model = await transaction.lock_model("digits")
        assert model is not None
        await transaction.save(replace(model, epoch=2), made)
    newest_first = [made[2], made[1], made[0], event(1, action=Action.MODEL_CREATED)]
    assert await store.events("digits", before=None, limit=10) == newest_first
    assert await store.events("digits", before=None, limit=2) == newest_first[:2]
    assert await store.events("digits", before=(2, 1), limit=10) == newest_first[2:]
    assert await store.events("other", before=None, limit=10) == []


async def test_what_does_not_exist_is_none(store):
    assert await store.model("digits") is None
    assert await store.version(VersionRef("digits", "v1")) is None
    async with store.transaction() as transaction:
        assert await transaction.lock_model("digits") is None
        assert await transaction.version(VersionRef("digits", "v1")) is None


async def test_models_come_by_name_and_page(store):
    for name in ("b", "a-b", "a", "a1", "c"):
        await make_model(store, name)
    assert [model.name for model in await store.models(after="", limit=10)] == ["a", "a-b", "a1", "b", "c"]
    assert [model.name for model in await store.models(after="a-b", limit=2)] == ["a1", "b"]


async def test_versions_come_newest_first_by_page_and_stage(store):
    await make_model(store)
    for number in (2, 3, 4):
        await add_version(store, full_version(version=f"v{number}", epoch=number))
    async with store.transaction() as transaction:
        await transaction.move(VersionRef("digits", "v3"), Stage.STAGING)

    async def ids(before=None, limit=10, stage=None) -> list[str]:
        return [v.ref.version for v in await store.versions("digits", before=before, limit=limit, stage=stage)]

    assert await ids() == ["v4", "v3", "v2"]
    assert await ids(limit=2) == ["v4", "v3"]
    assert await ids(before=3) == ["v2"]
    assert await ids(stage=Stage.STAGING) == ["v3"]
    assert await ids(stage=Stage.PRODUCTION) == []


async def test_production_and_aliases_are_part_of_the_model(store):
    await make_model(store)
    for number in (2, 3):
        await add_version(store, full_version(version=f"v{number}", epoch=number))
    async with store.transaction() as transaction:
        await transaction.move(VersionRef("digits", "v2"), Stage.PRODUCTION)
        await transaction.set_alias(VersionRef("digits", "v2"), "champion")
        await transaction.set_alias(VersionRef("digits", "v3"), "challenger")
    model = await store.model("digits")
    assert model is not None
    assert (model.production, model.aliases) == ("v2", {"champion": "v2", "challenger": "v3"})
    async with store.transaction() as transaction:
        await transaction.move(VersionRef("digits", "v2"), Stage.ARCHIVED)
        await transaction.move(VersionRef("digits", "v3"), Stage.PRODUCTION)
        await transaction.set_alias(VersionRef("digits", "v3"), "champion")
        await transaction.delete_alias("digits", "challenger")
        await transaction.delete_alias("digits", "never")
        model = await transaction.lock_model("digits")
    assert model is not None
    assert (model.production, model.aliases) == ("v3", {"champion": "v3"})


async def test_two_versions_are_never_in_production(store):
    await make_model(store)
    for number in (2, 3):
        await add_version(store, full_version(version=f"v{number}", epoch=number))

    async def move_both() -> None:
        async with store.transaction() as transaction:
            await transaction.move(VersionRef("digits", "v2"), Stage.PRODUCTION)
            await transaction.move(VersionRef("digits", "v3"), Stage.PRODUCTION)

    with pytest.raises(Exception, match="production"):
        await move_both()
    assert await store.versions("digits", before=None, limit=10, stage=Stage.PRODUCTION) == []


async def test_a_transaction_that_raises_leaves_nothing(store):
    before = await store.position()

    async def change_and_fail() -> None:
        async with store.transaction() as transaction:
            await transaction.claim("ann", "1", b"f", NOW)
            model = await transaction.open_model("digits", NOW)
            await transaction.insert_version(full_version())
            await transaction.save(replace(model, epoch=1), [event(1)])
            raise LookupError

    with pytest.raises(LookupError):
        await change_and_fail()
    assert await store.model("digits") is None
    assert await store.position() == before
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "1", b"f", NOW) is None


async def test_a_remembered_answer_comes_back_with_its_fingerprint(store):
    model = await make_model(store)
    outcome = Outcome(model, full_version())
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "1", b"\x00f", NOW) is None
        await transaction.remember("ann", "1", outcome)
    async with store.transaction() as transaction:
        answered = await transaction.claim("ann", "1", b"other", NOW)
        assert answered is not None
        assert (answered.fingerprint, answered.outcome) == (b"\x00f", outcome)
        assert await transaction.claim("bob", "1", b"f", NOW) is None


async def test_of_two_writes_with_one_request_id_the_second_waits_for_the_first_answer(store):
    model = await make_model(store)
    began, release = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store.transaction() as transaction:
            assert await transaction.claim("ann", "1", b"f", NOW) is None
            began.set()
            await release.wait()
            await transaction.remember("ann", "1", Outcome(model))

    async def second() -> Outcome | None:
        async with store.transaction() as transaction:
            answered = await transaction.claim("ann", "1", b"f", NOW)
            return None if answered is None else answered.outcome

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first())
        await began.wait()
        waiting = tasks.create_task(second())
        release.set()
    assert waiting.result() == Outcome(model)


async def test_old_answers_are_forgotten_in_steps(store):
    model = await make_model(store)
    for number in range(5):
        async with store.transaction() as transaction:
            await transaction.claim("ann", str(number), b"f", NOW + timedelta(hours=number))
            await transaction.remember("ann", str(number), Outcome(model))
    assert await store.forget_requests(NOW + timedelta(hours=3), limit=2) == 2
    assert await store.forget_requests(NOW + timedelta(hours=3), limit=2) == 1
    assert await store.forget_requests(NOW + timedelta(hours=3), limit=2) == 0
    async with store.transaction() as transaction:
        assert await transaction.claim("ann", "3", b"f", NOW) is not None


async def test_numbers_of_changes_rise_and_states_carry_them(store):
    await make_model(store, "a")
    await make_model(store, "b")
    start = await store.position()
    await touch(store, "a")
    states = await store.changed_since(start.sequence, limit=10)
    assert [(state.model.name, state.sequence) for state in states] == [("a", start.sequence + 1)]
    assert (await store.position()).sequence == start.sequence + 1
    assert await store.changed_since(start.sequence + 1, limit=10) == []
    assert [state.model.name for state in await store.changed_since(0, limit=10)] == ["b", "a"]
    assert [state.model.name for state in await store.changed_since(0, limit=1)] == ["b"]
    assert [state.model.name for state in await store.states(after="", limit=10)] == ["a", "b"]
    assert [state.model.name for state in await store.states(after="a", limit=10)] == ["b"]


async def test_a_state_has_every_version_of_its_model(store):
    await make_model(store)
    await make_model(store, "other")
    versions = [full_version(version=f"v{number}", epoch=number) for number in (2, 3)]
    for version in versions:
        await add_version(store, version)
    (state,) = await store.states(after="", limit=1)
    assert state.versions == (versions[1], versions[0])
    assert (await store.states(after="digits", limit=1))[0].versions == ()


async def test_changes_of_one_model_wait_for_each_other_and_none_is_lost(store):
    await make_model(store)
    await asyncio.gather(*(touch(store, "digits") for _ in range(20)))
    model = await store.model("digits")
    assert model is not None
    assert model.epoch == 21
    assert len(await store.events("digits", before=None, limit=100)) == 21


async def test_making_one_model_twice_at_once_makes_it_once(store):
    async def make() -> int:
        async with store.transaction() as transaction:
            model = await transaction.open_model("digits", NOW)
            await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])
            return model.epoch

    assert sorted(await asyncio.gather(*(make() for _ in range(10)))) == list(range(10))


async def test_a_locked_model_shows_what_was_written_while_its_lock_was_waited_for(store):
    await make_model(store)
    await add_version(store, full_version(version="v2", epoch=2))
    locked, release = asyncio.Event(), asyncio.Event()

    async def promote() -> None:
        async with store.transaction() as transaction:
            model = await transaction.lock_model("digits")
            assert model is not None
            locked.set()
            await release.wait()
            await transaction.move(VersionRef("digits", "v2"), Stage.PRODUCTION)
            await transaction.save(replace(model, epoch=3), [event(3)])

    async def look() -> Model | None:
        async with store.transaction() as transaction:
            return await transaction.lock_model("digits")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(promote())
        await locked.wait()
        looking = tasks.create_task(look())
        await asyncio.sleep(0.05)  # until it waits for the lock; the assertion holds either way
        release.set()
    seen = looking.result()
    assert seen is not None
    assert (seen.production, seen.epoch) == ("v2", 3)


async def test_a_change_wakes_those_who_listen(store):
    await make_model(store)
    wakes = store.wakes()
    await anext(wakes)
    woken = asyncio.ensure_future(anext(wakes))
    await touch(store, "digits")
    async with asyncio.timeout(5):
        await woken
    await wakes.aclose()


async def test_a_transaction_that_changes_nothing_takes_no_number(store):
    await make_model(store)
    before = await store.position()
    async with store.transaction() as transaction:
        await transaction.lock_model("digits")
    assert await store.position() == before


async def test_what_was_measured_is_kept_in_order_and_the_last_value_of_a_name_is_part_of_the_version(store):
    await make_model(store)
    version = full_version(epoch=2)
    await add_version(store, version)
    first = [Measurement("p99", 5.5, "batcher/a", NOW), Measurement("auc", 0.1 + 0.2, "batcher/a", NOW)]
    second = [Measurement("p99", 7.25, "batcher/b", NOW + timedelta(seconds=1))]
    for said in (first, second):
        async with store.transaction() as transaction:
            await transaction.lock_model("digits")
            await transaction.insert_measurements(version.ref, said)
            assert await transaction.last_measured_by(version.ref, "batcher/a") == {"p99": 5.5, "auc": 0.1 + 0.2}
    measured = (Metric("auc", 0.1 + 0.2, MetricSource.MEASURED), Metric("p99", 7.25, MetricSource.MEASURED))
    for seen in (
        await store.version(version.ref),
        (await store.versions("digits", before=None, limit=1, stage=None))[0],
        (await store.states(after="", limit=1))[0].versions[0],
    ):
        assert seen == replace(version, measured=measured)
    listed = await store.measurements(version.ref, before=None, limit=10)
    assert [(m.name, m.value, m.source_process, m.create_time) for m in listed] == [
        ("p99", 7.25, "batcher/b", NOW + timedelta(seconds=1)),
        ("auc", 0.1 + 0.2, "batcher/a", NOW),
        ("p99", 5.5, "batcher/a", NOW),
    ]
    assert await store.measurements(version.ref, before=listed[0].number, limit=1) == listed[1:2]
    async with store.transaction() as transaction:
        assert await transaction.last_measured_by(version.ref, "batcher/b") == {"p99": 7.25}
        assert await transaction.last_measured_by(version.ref, "batcher/c") == {}


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
    await store.forget_holds(NOW + timedelta(hours=2))
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
    assert [model.name for model in await store.models(after="", limit=9)] == ["other"]
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


async def test_the_last_words_of_a_past_time(store):
    def at(epoch: int, action: Action, **fields) -> Event:
        return replace(event(epoch, action=action, **fields), create_time=NOW + timedelta(seconds=epoch))

    created = Action.VERSION_CREATED
    made = [
        at(1, Action.MODEL_CREATED),
        at(2, created, version="v1", to_stage=Stage.REGISTERED),
        at(3, created, version="v2", to_stage=Stage.REGISTERED),
        at(4, Action.STAGE_CHANGED, version="v1", from_stage=Stage.REGISTERED, to_stage=Stage.PRODUCTION),
        at(5, Action.ALIAS_SET, version="v1", alias="champion"),
        at(6, Action.ALIAS_SET, version="v2", alias="champion"),
        at(7, Action.MODEL_UPDATED),
    ]
    async with store.transaction() as transaction:
        model = await transaction.open_model("digits", NOW)
        await transaction.save(replace(model, epoch=7), made)

    async def epochs(seconds: float) -> list[int]:
        found = await store.last_words("digits", NOW + timedelta(seconds=seconds))
        assert all(one in made for one in found)
        return sorted(one.epoch for one in found)

    assert await epochs(0.5) == []
    assert await epochs(1) == [1]
    assert await epochs(4) == [1, 3, 4]
    assert await epochs(5.999999) == [1, 3, 4, 5]
    assert await epochs(100) == [3, 4, 6, 7]


async def test_a_broken_signature_stays_in_the_history(store):
    await make_model(store)
    broken = event(2, action=Action.STAGE_CHANGED, version="v2", signature_breaks=("inputs.x: gone", "ü"))
    async with store.transaction() as transaction:
        model = await transaction.lock_model("digits")
        assert model is not None
        await transaction.save(replace(model, epoch=2), [broken])
    assert (await store.events("digits", before=None, limit=1)) == [broken]


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
        await transaction.forget_content(BLOB.sha256, NOW)
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
            await transaction.forget_content(BLOB.sha256, NOW)

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
        await asyncio.sleep(0.05)
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
    assert await store.staged_uploads(NOW) == 1
    assert await store.expired_uploads(NOW, limit=9) == []
    assert {upload.id for upload in await store.expired_uploads(NOW + timedelta(hours=1), limit=9)} == {one.id, two.id}
    await store.close_upload(one.id)
    assert await store.upload(one.id) is None
    assert not (await use_of(store)).uploading


async def test_a_store_says_since_when_it_exists(store):
    assert abs((datetime.now(UTC) - await store.begin_time()).total_seconds()) < 60
