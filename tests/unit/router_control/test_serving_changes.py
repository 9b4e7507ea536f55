"""Serving settings under one digest: the latest count, wherever an older word of them comes from."""

from headrace.registry.v1 import registry_pb2
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.messages import convert
from headrace_router.control.registry.news import RegistryNews
from headrace_router.control.state.mirror import Mirror
from headrace_router.control.storage.store import StoredVersion


def stored(revision: int) -> StoredVersion:
    """Return a version of the registry whose settings have that number."""
    version = registry_pb2.ModelVersion(name="models/digits/versions/v1", digest="d", serving_revision=revision)
    version.serving.max_batch_rows = 10 * revision
    message = registry_pb2.WatchModelsResponse(model=registry_pb2.Model(name="models/digits"), versions=[version])
    (found,) = convert.stored_versions(message)
    return found


def test_later_settings_are_news_and_earlier_ones_are_not():
    mirror = Mirror()
    assert mirror.is_news(stored(1))
    mirror.add_versions([stored(2)])
    assert mirror.serving_revisions == {"d": 2}
    assert not mirror.is_news(stored(2))
    assert not mirror.is_news(stored(1))
    assert mirror.is_news(stored(3))


def test_an_older_word_does_not_take_the_place_of_a_later_one_that_waits():
    news = RegistryNews()
    one = Registered("digits", "i", 1, "v1", {}, {"v1": "d"})
    news.seen(one, [stored(3)])
    news.seen(one, [stored(2)])
    assert [version.serving_revision for version in news.versions()] == [3]
    news.seen(one, [stored(4)])
    assert [version.serving_revision for version in news.versions()] == [4]
