"""Many who write at once, seen through the front door: one wins, and nobody who looks ever sees none or two."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace.router.v1 import predict_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.stack.served_models import ROW, Served, register, request, serve

PROMOTERS = 100
VERSIONS = {f"v{number}": onnx_models.linear(seed=number) for number in range(4)}
PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION


class Callers:
    """A model of this test's own, and everything that looks at it. seen: production as each look found it."""

    def __init__(self, model: str, channel: grpc.aio.Channel, token: str) -> None:
        self.model, self.name, self.bearer = model, f"models/{model}", metadata(token)
        self.registry: Any = registry_pb2_grpc.RegistryServiceStub(channel)
        self.router: Any = predict_pb2_grpc.RouterServiceStub(channel)
        self.seen: dict[str, list[tuple[str, ...]]] = {"model": [], "versions": [], "watch": [], "prediction": []}

    async def get_model(self) -> registry_pb2.Model:
        request = registry_pb2.GetModelRequest(name=self.name)
        return (await self.registry.GetModel(request, metadata=self.bearer, timeout=20)).model

    async def promote(self, version: str, etag: str) -> str:
        """Promote and return how it ended, in a word."""
        wish = registry_pb2.PromoteModelVersionRequest(
            name=f"{self.name}/versions/{version}", target_stage=PRODUCTION, etag=etag, request_id=str(uuid.uuid4())
        )
        try:
            await self.registry.PromoteModelVersion(wish, metadata=self.bearer, timeout=30)
        except grpc.aio.AioRpcError as error:
            refusal = grpc_refusal(error)
            assert refusal.domain == "headrace.dev"
            return f"{refusal.code.name} {refusal.reason}"
        return "OK"

    async def look_at_model(self) -> None:
        version = (await self.get_model()).production_version
        self.seen["model"].append((version,) if version else ())

    async def look_at_versions(self) -> None:
        request = registry_pb2.ListModelVersionsRequest(parent=self.name, stage=PRODUCTION)
        page = await self.registry.ListModelVersions(request, metadata=self.bearer, timeout=20)
        self.seen["versions"].append(tuple(version.name.rpartition("/")[2] for version in page.versions))

    async def predict(self) -> None:
        answer = await self.router.Predict(request(self.model, features=ROW), metadata=self.bearer, timeout=20)
        self.seen["prediction"].append((answer.version,))

    async def watch(self) -> None:
        """Follow the watch, from its snapshot on."""
        watching = self.registry.WatchModels(registry_pb2.WatchModelsRequest(), metadata=self.bearer)
        async for message in watching:
            if message.HasField("model") and message.model.name == self.name:
                found = [one.name.rpartition("/")[2] for one in message.versions if one.stage == PRODUCTION]
                assert found == [message.model.production_version]
                self.seen["watch"].append(tuple(found))


@pytest.fixture
async def crowd(served: Served) -> AsyncIterator[Callers]:
    model = f"crowd-{uuid.uuid4().hex[:8]}"
    serve(served.client, model, {"v0": VERSIONS["v0"]})
    for version, file in VERSIONS.items():
        register(served.client, model, version, file)
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        yield Callers(model, channel, served.stack.token("crowd"))


async def over_and_over(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await look()


@pytest.mark.long
async def test_of_100_promotes_with_one_etag_one_succeeds_and_everybody_sees_one_production(crowd: Callers):
    etag = (await crowd.get_model()).etag
    looks = (crowd.look_at_model, crowd.look_at_versions, crowd.predict)
    readers = [asyncio.create_task(over_and_over(look)) for look in looks] + [asyncio.create_task(crowd.watch())]
    await eventually(lambda: all(crowd.seen.values()))
    challengers = [f"v{1 + number % 3}" for number in range(PROMOTERS)]
    outcomes = await asyncio.gather(*(crowd.promote(version, etag) for version in challengers))
    winner = (await crowd.get_model()).production_version

    # Until each of them has seen what won.
    await eventually(
        lambda: any(reader.done() for reader in readers) or all(each[-1] == (winner,) for each in crowd.seen.values()),
        within=60,
    )
    for reader in readers:
        assert not reader.done() or reader.result()
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)

    assert Counter(outcomes) == {"OK": 1, "ABORTED ETAG_MISMATCH": PROMOTERS - 1}
    assert challengers[outcomes.index("OK")] == winner
    for name, seen in crowd.seen.items():
        first_new = seen.index((winner,))
        assert set(seen[:first_new]) == {("v0",)}, name
        assert set(seen[first_new:]) == {(winner,)}, name


async def test_of_many_who_register_one_version_with_other_content_one_succeeds(served: Served, crowd: Callers):
    def try_to_register(seed: int) -> str:
        try:
            register(served.client, crowd.model, "v9", onnx_models.linear(seed=100 + seed % 3))
        except Exception as error:
            return str(getattr(error, "reason", error))
        return f"seed {seed % 3}"

    outcomes = Counter(await asyncio.gather(*(asyncio.to_thread(try_to_register, number) for number in range(6))))
    won = [outcome for outcome in outcomes if outcome.startswith("seed")]
    # The same content again is the same version.
    assert (len(won), outcomes) == (1, {won[0]: 2, "VERSION_EXISTS": 4})
