"""What is written into a store comes back as it was, newest first and by page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.model_lists import EVERY_MODEL, ModelQuery, place_of
from headrace_registry.decisions.models import (
    Action,
    Composition,
    Event,
    Gate,
    Measurement,
    Member,
    Metric,
    MetricSource,
    Model,
    ServingChange,
    Stage,
    VersionRef,
)
from headrace_runtime.pipelines.graph import (
    Combiner,
    Edge,
    GraphStep,
    Kind,
    ModelStep,
    Output,
    Pipeline,
    Source,
    Step,
)

from tests.kit.registry.contents import BLOB, LABELS, NOW, add_version, event, full_version, make_model


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


async def test_a_pipeline_comes_back_as_it_was_written(store):
    await make_model(store)
    step = ModelStep("iris", alias="best")
    switch = Combiner(Kind.SWITCH, attribute="country", cases={"de": "a"}, default_input="a")
    steps = (
        Step("iris", step, (Edge("x", Source("", "x")),), "cpu", 50.0, 2, soft_fail=True),
        Step("norm", GraphStep("norm.onnx"), (Edge("x", Source("iris", "y")),)),
        Step("pick", switch, (Edge("a", Source("norm", "y")),)),
        Step("mean", Combiner(Kind.WEIGHTED, (0.5, 2.0), 1), (Edge("a", Source("norm", "y")),)),
    )
    full = full_version()
    member = Member(VersionRef("iris", "v1"), "d1", full.contract, full.serving, full.artifacts, "hash")
    pipeline = Pipeline(steps, (Output("y", Source("pick", "output")),))
    version = replace(full, composition=Composition(pipeline, (member,), {"iris": "d1"}))
    await add_version(store, version)
    assert await store.version(version.ref) == version


@pytest.mark.parametrize("gates", [None, ()])
async def test_no_gates_told_and_no_gates_wanted_are_kept_apart(store, gates):
    assert (await make_model(store, gates=gates)).gates == gates


async def test_a_version_comes_back_as_it_was_written(store):
    await make_model(store)
    version = full_version()
    await add_version(store, version)
    assert await store.version(version.ref) == version
    assert await store.versions("digits", before=None, limit=10, stage=None) == [version]


async def test_changed_serving_settings_come_back_with_their_number_and_in_the_history(store):
    await make_model(store)
    version = full_version()
    await add_version(store, version)
    after = replace(version.serving, max_batch_rows=4, preferred_batch_rows=(4,))
    change = event(3, action=Action.SERVING_CHANGED, serving_change=ServingChange(2, version.serving, after))
    async with store.transaction() as transaction:
        model = await transaction.lock_model("digits")
        assert model is not None
        await transaction.set_serving(version.ref, after, 2)
        await transaction.save(replace(model, epoch=3), [change])
    assert await store.version(version.ref) == replace(version, serving=after, serving_revision=2)
    assert (await store.events("digits", before=None, limit=1))[0] == change


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
    listed = await store.models(EVERY_MODEL, after=None, limit=10)
    assert [model.name for model in listed] == ["a", "a-b", "a1", "b", "c"]
    behind = await store.models(EVERY_MODEL, after=place_of(listed[1]), limit=2)
    assert [model.name for model in behind] == ["a1", "b"]


async def test_models_are_found_by_what_they_are_called_or_are_about_the_latest_first(store):
    for number, (name, about) in enumerate([("fraud-eu", ""), ("churn", "leaving; not FRAUD"), ("digits", "")]):
        await make_model(store, name, description=about, update_time=NOW + timedelta(seconds=number))
    asked = ModelQuery("fraud", latest_first=True)
    listed = await store.models(asked, after=None, limit=10)
    assert [model.name for model in listed] == ["churn", "fraud-eu"]
    behind = await store.models(asked, after=place_of(listed[0]), limit=10)
    assert [model.name for model in behind] == ["fraud-eu"]
    assert await store.models(ModelQuery("%"), after=None, limit=10) == []


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


async def test_a_store_says_since_when_it_exists(store):
    assert abs((datetime.now(UTC) - await store.begin_time()).total_seconds()) < 60
