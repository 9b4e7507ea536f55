"""What tests of the registry's stores put into them: a model, its versions, their files and events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from headrace_registry.decisions import defaults
from headrace_registry.decisions.files import Artifact, ArtifactType, Blob, ModelFile, ModelPort
from headrace_registry.decisions.models import (
    Action,
    Contract,
    Event,
    Lineage,
    Metric,
    MetricSource,
    Model,
    Task,
    TensorKind,
    TensorSpec,
    Version,
    VersionRef,
)
from headrace_registry.storage.store import Store

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FILE = ModelFile((ModelPort("x", "FP32", "a tensor", (None, 4)),), (ModelPort("y", "", "a map", None, False),))
BLOB = Blob("a" * 64, ArtifactType.ONNX, 123, FILE)
KEY = (BLOB.sha256, BLOB.type)
LABELS = Blob("b" * 64, ArtifactType.JSON, 5)


async def with_blobs(store: Store) -> Store:
    """Return the store, with the two files that versions have."""
    await store.put_blob(BLOB, NOW)
    await store.put_blob(LABELS, NOW)
    return store


def full_version(model: str = "digits", version: str = "v1", epoch: int = 1) -> Version:
    """Return a version in which every field has a value that is not its default."""
    spec = TensorSpec(
        "x", "FP32", (4, -1), nan_allowed=True, kind=TensorKind.NUMERIC, minimum=-1.5, maximum=0.1, sensitive=True
    )
    return Version(
        ref=VersionRef(model, version),
        serving=defaults.filled(defaults.Declared(max_batch_rows=16, max_wait_ms=2.5, instances=2)),
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
    """Return an event of an epoch; fields are those of Event."""
    return Event(epoch, ordinal, fields.pop("action", Action.MODEL_UPDATED), "ann", "because", NOW, **fields)


async def make_model(store: Store, name: str = "digits", **fields) -> Model:
    """Make a model, and return it; fields are those of Model."""
    async with store.transaction() as transaction:
        model = replace(await transaction.open_model(name, NOW), epoch=1, **fields)
        await transaction.save(model, [event(1, action=Action.MODEL_CREATED)])
    made = await store.model(name)
    assert made is not None
    return made


async def add_version(store: Store, version: Version) -> None:
    """Add a version to a model."""
    async with store.transaction() as transaction:
        model = await transaction.lock_model(version.ref.model)
        assert model is not None
        await transaction.insert_version(version)
        await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])


async def touch(store: Store, name: str) -> None:
    """Change a model without changing anything of it."""
    async with store.transaction() as transaction:
        model = await transaction.lock_model(name)
        assert model is not None
        await transaction.save(replace(model, epoch=model.epoch + 1), [event(model.epoch + 1)])
