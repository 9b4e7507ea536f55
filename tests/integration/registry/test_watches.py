"""WatchModels: snapshot and marker, changes in order, resuming, patterns, other replicas, the end of the service."""

import asyncio
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import refused
from tests.kit.registry.memory_store import MemoryStore
from tests.kit.registry.service import Registry, caller, memory_registry, real_registry


@pytest.fixture(params=["registry", "real"])
def any_registry(request) -> Registry:
    return request.getfixturevalue(request.param)


class Watch:
    """An open watch, read message by message."""

    def __init__(self, registry: Registry, token: str = "", metadata: Any = None) -> None:
        request = registry_pb2.WatchModelsRequest(resume_token=token)
        self.call = registry.stub.WatchModels(request, timeout=60, metadata=metadata)
        self._messages = aiter(self.call)

    async def next(self) -> registry_pb2.WatchModelsResponse:
        async with asyncio.timeout(10):
            return await anext(self._messages)

    async def snapshot(self) -> tuple[dict[str, registry_pb2.WatchModelsResponse], str]:
        """Return the messages up to the marker by model, and the marker's token."""
        found = {}
        while not (message := await self.next()).snapshot_complete:
            assert message.resume_token == ""
            found[message.model.name] = message
        assert not message.HasField("model")
        return found, message.resume_token

    async def until(self, model: str, epoch: int) -> registry_pb2.WatchModelsResponse:
        """Return the first message that shows the model at that epoch or later."""
        while True:
            message = await self.next()
            if message.model.name == f"models/{model}" and message.model.epoch >= epoch:
                return message


async def test_a_watch_begins_with_everything_and_goes_on_with_changes(any_registry):
    registry = any_registry
    v1 = await registry.register("digits", "v1")
    await registry.register("fraud", "v1")
    watch = Watch(registry)
    snapshot, _ = await watch.snapshot()
    assert set(snapshot) == {"models/digits", "models/fraud"}
    assert list(snapshot["models/digits"].versions) == [v1]
    assert snapshot["models/digits"].model == await registry.model("digits")

    promoted = await registry.promote("digits", "v1")
    message = await watch.until("digits", promoted.model.epoch)
    assert message.model == promoted.model
    assert list(message.versions) == [promoted.version]
    assert message.resume_token
    watch.call.cancel()


async def test_an_empty_registry_has_an_empty_snapshot(any_registry):
    watch = Watch(any_registry)
    snapshot, token = await watch.snapshot()
    assert snapshot == {}
    await any_registry.register("digits", "v1")
    assert (await watch.next()).model.name == "models/digits"
    watch.call.cancel()
    resumed = Watch(any_registry, token)
    assert (await resumed.next()).model.name == "models/digits"
    resumed.call.cancel()


async def test_a_resumed_watch_tells_only_what_it_has_missed(any_registry):
    registry = any_registry
    await registry.register("digits", "v1")
    await registry.register("fraud", "v1")
    watch = Watch(registry)
    _, token = await watch.snapshot()
    watch.call.cancel()
    await registry.register("digits", "v2")
    await registry.promote("digits", "v2")
    await registry.register("new", "v1")
    resumed = Watch(registry, token)
    first, second = await resumed.next(), await resumed.next()
    assert (first.model.name, first.model.production_version) == ("models/digits", "v2")
    assert [version.name[-2:] for version in first.versions] == ["v2", "v1"]
    assert second.model.name == "models/new"
    resumed.call.cancel()
    # From the middle of the changes, too.
    again = Watch(registry, first.resume_token)
    assert (await again.next()).model.name == "models/new"
    again.call.cancel()


async def test_a_token_of_another_store_means_the_snapshot():
    async with memory_registry(MemoryStore()) as before:
        await before.register("digits", "v1")
        watch = Watch(before)
        _, token = await watch.snapshot()
        watch.call.cancel()
    async with memory_registry(MemoryStore()) as after:
        await after.register("other", "v1")
        watch = Watch(after, token)
        snapshot, _ = await watch.snapshot()
        assert set(snapshot) == {"models/other"}
        watch.call.cancel()


async def test_a_watch_shows_only_what_its_caller_may_see(any_registry):
    registry = any_registry
    await registry.register("digits", "v1")
    await registry.register("fraud-eu", "v1")
    watch = Watch(registry, metadata=caller("ann", "fraud-*"))
    snapshot, _ = await watch.snapshot()
    assert set(snapshot) == {"models/fraud-eu"}
    await registry.promote("digits", "v1")
    await registry.promote("fraud-eu", "v1")
    assert (await watch.next()).model.name == "models/fraud-eu"
    watch.call.cancel()


async def test_a_change_in_one_replica_is_told_by_the_other(postgres_url, s3, tmp_path):
    async with (
        real_registry(postgres_url, s3, tmp_path) as first,
        real_registry(postgres_url, s3, tmp_path) as second,
    ):
        await first.register("digits", "v1")
        watch = Watch(second)
        await watch.snapshot()
        promoted = await first.promote("digits", "v1")
        message = await watch.until("digits", promoted.model.epoch)
        assert message.model.production_version == "v1"
        # A token of one replica is good for the other.
        resumed = Watch(first, message.resume_token)
        await second.register("digits", "v2")
        assert (await resumed.next()).model.epoch == promoted.model.epoch + 1
        for open_watch in (watch, resumed):
            open_watch.call.cancel()


async def test_no_change_is_lost_while_many_write(postgres_url, s3, tmp_path):
    async with (
        real_registry(postgres_url, s3, tmp_path) as first,
        real_registry(postgres_url, s3, tmp_path) as second,
    ):
        models = [f"m{number}" for number in range(8)]
        for model in models:
            await first.register(model, "v1")
        watch = Watch(second)
        seen, token = await watch.snapshot()
        epochs = {message.model.name: message.model.epoch for message in seen.values()}

        async def write(model: str) -> None:
            for number in range(10):
                name = f"models/{model}/aliases/a{number}"
                await first.stub.SetAlias(registry_pb2.SetAliasRequest(name=name, version="v1"), timeout=20)

        writing = asyncio.gather(*(write(model) for model in models))
        tokens = [token]
        while min(epochs.values()) < 11:
            message = await watch.next()
            assert message.model.epoch >= epochs[message.model.name]
            epochs[message.model.name] = message.model.epoch
            tokens.append(message.resume_token)
        await writing
        watch.call.cancel()
        # Whichever token one resumes from, the end is the same.
        for chosen in tokens[:: max(1, len(tokens) // 5)]:
            resumed, left = Watch(second, chosen), {**epochs}
            while chosen != tokens[-1] and left:
                message = await resumed.next()
                if message.model.epoch == 11:
                    left.pop(message.model.name, None)
                if message.resume_token == tokens[-1]:
                    break
            resumed.call.cancel()


async def test_a_slow_watcher_gets_the_latest_state_and_holds_nobody_up(registry):
    await registry.register("digits", "v1")
    watch = Watch(registry)
    await watch.snapshot()
    for number in range(300):
        name = f"models/digits/aliases/a{number % 50}-{number // 50}" if number < 90 else "models/digits/aliases/x"
        if number % 2 and number >= 90:
            await registry.stub.DeleteAlias(registry_pb2.DeleteAliasRequest(name=name))
        else:
            await registry.stub.SetAlias(registry_pb2.SetAliasRequest(name=name, version="v1"))
    epoch = (await registry.model("digits")).epoch
    messages = 1
    while (await watch.next()).model.epoch < epoch:
        messages += 1
    assert messages <= 301
    watch.call.cancel()


async def test_a_watch_ends_when_the_service_stops():
    async with memory_registry() as registry:
        watch = Watch(registry)
        await watch.snapshot()
        registry.runtime.stop()
        error = await refused(watch.next())
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "STOPPING")


async def test_too_many_watches_are_refused():
    async with memory_registry(max_watches=1) as registry:
        first = Watch(registry)
        await first.snapshot()
        error = await refused(Watch(registry).next())
        assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES")
        assert error.retry_after_s
        first.call.cancel()


async def test_one_client_cannot_open_all_watches():
    async with memory_registry(max_watches=4) as registry:
        greedy, modest = caller("greedy", "*"), caller("modest", "*")
        watches = [Watch(registry, metadata=greedy) for _ in range(2)]
        for watch in watches:
            await watch.snapshot()
        error = await refused(Watch(registry, metadata=greedy).next())
        assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES_OF_CLIENT")
        assert error.retry_after_s
        watches.append(Watch(registry, metadata=modest))
        await watches[-1].snapshot()
        for watch in watches:
            watch.call.cancel()
