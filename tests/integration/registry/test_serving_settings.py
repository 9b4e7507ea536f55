"""Serving settings change without a new version: numbered, recorded, checked, and nothing of what is served moves."""

import hashlib

import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.models.onnx_models import linear, variable_dimension

Settings = registry_pb2.ServingSettings
NAME = "models/digits/versions/v1"


def update(settings: Settings, **fields) -> registry_pb2.UpdateServingSettingsRequest:
    return registry_pb2.UpdateServingSettingsRequest(name=NAME, serving=settings, **fields)


async def stored(registry) -> registry_pb2.ModelVersion:
    return (await registry.stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name=NAME))).version


@pytest.fixture
async def version(registry):
    return await registry.register("digits", "v1", linear(4, 3))


async def test_settings_are_replaced_numbered_and_recorded_while_the_digest_stays(registry, version):
    settings = Settings(max_batch_rows=16, max_wait=Duration(nanos=2_000_000))
    answer = await registry.stub.UpdateServingSettings(update(settings, reason="tuned"))
    after = answer.version
    assert (after.serving.max_batch_rows, list(after.serving.preferred_batch_rows)) == (16, [8, 16])
    assert (after.serving.max_wait.nanos, after.serving.instances) == (2_000_000, 1)
    assert (version.serving_revision, after.serving_revision) == (1, 2)
    assert (after.digest, after.signature_hash) == (version.digest, version.signature_hash)
    assert await stored(registry) == after
    events = (await registry.stub.ListModelEvents(registry_pb2.ListModelEventsRequest(parent="models/digits"))).events
    assert (events[0].action, events[0].version) == (registry_pb2.ModelEvent.ACTION_SERVING_CHANGED, "v1")
    assert (events[0].reason, events[0].serving_change.revision) == ("tuned", 2)
    assert events[0].serving_change.before == version.serving
    assert events[0].serving_change.after == after.serving


async def test_settings_as_they_are_and_a_dry_run_change_nothing(registry, version):
    same = await registry.stub.UpdateServingSettings(update(Settings(max_batch_rows=32)))
    assert same.version == version
    would = await registry.stub.UpdateServingSettings(update(Settings(instances=3), validate_only=True, request_id="1"))
    assert (would.version.serving.instances, would.version.serving_revision) == (3, 2)
    assert await stored(registry) == version
    # The id was not used up by the check.
    done = await registry.stub.UpdateServingSettings(update(Settings(instances=3), request_id="1"))
    again = await registry.stub.UpdateServingSettings(update(Settings(instances=3), request_id="1"))
    assert again.version.serving_revision == done.version.serving_revision == 2


async def test_settings_out_of_bounds_and_stale_etags_are_refused(registry, version):
    error = await refused(registry.stub.UpdateServingSettings(update(Settings(max_batch_rows=5000))))
    assert (error.code, [one.field for one in error.violations]) == (
        Code.INVALID_ARGUMENT,
        ["serving.max_batch_rows"],
    )
    etag = (await registry.model("digits")).etag
    await registry.stub.UpdateServingSettings(update(Settings(instances=2), etag=etag))
    call = registry.stub.UpdateServingSettings(update(Settings(instances=3), etag=etag))
    assert await reason_of(call) == "ETAG_MISMATCH"
    unknown = registry_pb2.UpdateServingSettingsRequest(name="models/digits/versions/v9")
    assert await reason_of(registry.stub.UpdateServingSettings(unknown)) == "VERSION_NOT_FOUND"


async def test_registering_the_same_content_again_succeeds_after_the_settings_changed(registry, version):
    await registry.stub.UpdateServingSettings(update(Settings(instances=2)))
    again = await registry.register("digits", "v1", linear(4, 3))
    assert (again.serving.instances, again.serving_revision) == (2, 2)


async def test_a_file_of_a_version_can_be_read_and_an_unknown_one_is_named(registry, version):
    request = registry_pb2.DownloadArtifactRequest(name=NAME, artifact="model.onnx")
    content = b"".join([piece.chunk async for piece in registry.stub.DownloadArtifact(request)])
    assert hashlib.sha256(content).hexdigest() == version.artifacts[0].sha256

    async def read(**fields) -> None:
        async for _ in registry.stub.DownloadArtifact(registry_pb2.DownloadArtifactRequest(**fields)):
            pass

    assert await reason_of(read(name=NAME, artifact="other.json")) == "ARTIFACT_NOT_FOUND"
    assert await reason_of(read(name="models/digits/versions/v2", artifact="model.onnx")) == "VERSION_NOT_FOUND"


async def test_warm_and_padding_are_kept_and_what_the_contract_does_not_allow_is_refused(registry, version):
    warm = (await registry.stub.UpdateServingSettings(update(Settings(warm=True)))).version
    assert warm.serving.warm
    assert (await registry.stub.UpdateServingSettings(update(Settings(instances=2)))).version.serving.warm
    fixed = Settings(padding=Settings.Padding(sizes=[8]))
    error = await refused(registry.stub.UpdateServingSettings(update(fixed)))
    assert [one.field for one in error.violations] == ["serving.padding"]

    words = await registry.register("words", "v1", variable_dimension())
    name = "models/words/versions/v1"
    padded = Settings(padding=Settings.Padding(sizes=[8, 32], values={"tokens": -1.0}))
    request = registry_pb2.UpdateServingSettingsRequest(name=name, serving=padded)
    after = (await registry.stub.UpdateServingSettings(request)).version
    assert (list(after.serving.padding.sizes), dict(after.serving.padding.values)) == ([8, 32], {"tokens": -1.0})
    assert after.digest == words.digest
    request.serving.padding.Clear()
    request.serving.padding.SetInParent()
    assert not (await registry.stub.UpdateServingSettings(request)).version.serving.HasField("padding")
