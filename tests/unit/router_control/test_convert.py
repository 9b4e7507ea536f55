"""Versions as data planes and batchers get them."""

from headrace.registry.v1 import registry_pb2
from headrace_router.control.messages.convert import registered_from_proto, resolved_version, stored_versions


def version(**serving) -> registry_pb2.ModelVersion:
    return registry_pb2.ModelVersion(
        name="models/digits/versions/v1",
        digest="d1",
        signature_hash="s1",
        serving=registry_pb2.ServingSettings(**serving),
        artifacts=[registry_pb2.Artifact(name="model.onnx", sha256="a" * 64)],
    )


def test_serving_settings_have_every_default_filled_in():
    serving = resolved_version(version()).serving
    assert (serving.max_batch_rows, list(serving.preferred_batch_rows)) == (32, [8, 16, 32])
    assert (serving.max_wait.ToMicroseconds(), serving.instances) == (5000, 1)


def test_serving_settings_that_are_given_stay():
    given = version(max_batch_rows=16, instances=2)
    given.serving.max_wait.FromMilliseconds(0)
    serving = resolved_version(given).serving
    assert (serving.max_batch_rows, list(serving.preferred_batch_rows)) == (16, [8, 16])
    assert (serving.max_wait.ToMicroseconds(), serving.instances) == (0, 2)


def test_the_registrys_word_is_taken_by_ids():
    message = registry_pb2.WatchModelsResponse(
        model=registry_pb2.Model(name="models/digits", epoch=7, production_version="v1", aliases={"champion": "v1"}),
        versions=[version()],
        incarnation="one",
    )
    registered = registered_from_proto(message)
    assert (registered.model, registered.epoch, registered.production) == ("digits", 7, "v1")
    assert (registered.aliases, registered.versions) == ({"champion": "v1"}, {"v1": "d1"})
    (stored,) = stored_versions(message)
    assert (stored.digest, stored.model, stored.version) == ("d1", "digits", "v1")


def test_a_version_whose_files_were_given_up_is_no_version_of_the_model():
    gone, there = version(), version()
    gone.name, gone.digest = "models/digits/versions/v0", "d0"
    gone.collect_time.GetCurrentTime()
    message = registry_pb2.WatchModelsResponse(model=registry_pb2.Model(name="models/digits"), versions=[gone, there])
    assert registered_from_proto(message).versions == {"v1": "d1"}
