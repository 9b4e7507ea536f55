"""Somebody who promotes, publishes, reverts and purges a model of two versions, and callers who read all the while.

async with Changing.of(stack, "coherent", tmp_path) as changing:
    async with changing.read():
        for change in plan(rounds=5, rng):
            await changing.do(change)
assert violations(changing.changes, changing.seen) == []
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Self

import grpc
import grpc.aio
import httpx
import numpy as np
from headrace.router.v1 import precomputed_pb2, precomputed_pb2_grpc, predict_pb2, predict_pb2_grpc, route_pb2
from headrace.router.v1.route_pb2_grpc import RouteServiceStub
from headrace_client import AsyncClient
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import metadata
from tests.kit.models.onnx_models import plus
from tests.kit.stack.coherence import (
    NOTHING,
    PRODUCTION,
    Change,
    Exchange,
    computed_value,
    published,
    published_value,
    purged,
)
from tests.kit.stack.operator import METRICS
from tests.kit.stack.running import RunningStack

VERSIONS = ("v1", "v2")
ENTITIES = tuple(f"entity-{number}" for number in range(10))
PUBLISHED = ENTITIES[:8]
INPUTS = 4
# Short, so that entries grow stale and are computed anew while the test runs.
TTL_S, STALE_S = 1, 2
READERS, PAUSE_S = 6, 0.01
# Requests that are to be sent and answered between one change and the next.
BETWEEN = 20
READY_S = 60.0
_NEW_TOKEN_EVERY_S = 300.0


class Changing:
    """The model. changes, seen: the logs that `coherence.violations` judges."""

    def __init__(self, stack: RunningStack, model: str, client: AsyncClient, channel: Any, http: httpx.AsyncClient):
        self.stack, self.model, self.client, self._channel, self._http = stack, model, client, channel, http
        self.changes: list[Change] = []
        self.seen: list[Exchange] = []
        self._publishes = 0
        self._in_force = {version: [NOTHING] for version in VERSIONS}
        self._token, self._token_at = "", float("-inf")

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, stack: RunningStack, model: str, folder: Path) -> AsyncIterator[Self]:
        """Register two versions, the first in production, under a route whose cache entries grow old quickly."""
        async with (
            AsyncClient(stack.address, token=lambda: stack.token("operator")) as client,
            grpc.aio.insecure_channel(stack.address, [("grpc.use_local_subchannel_pool", 1)]) as channel,
            httpx.AsyncClient(base_url=stack.url, timeout=20, trust_env=False) as http,
        ):
            made = cls(stack, model, client, channel, http)
            for number, version in enumerate(VERSIONS, start=1):
                file = plus(computed_value(number, 0))
                (folder / f"{version}.onnx").write_bytes(file.content)
                await client.versions.register(
                    model, version, folder / f"{version}.onnx", contract=file.contract, metrics=METRICS
                )
                made.changes.append(Change(published(version), NOTHING, 0, 0))
            await made._declare()
            yield made

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Let callers ask until the block ends."""
        going = True

        async def read_on(number: int) -> None:
            rng = Random(number)
            while going:
                await self._ask(rng)
                await asyncio.sleep(PAUSE_S)

        async with asyncio.TaskGroup() as readers:
            for number in range(READERS):
                readers.create_task(read_on(number))
            try:
                await self._answered_since(time.monotonic())
                yield
                await self._answered_since(time.monotonic())
            finally:
                going = False

    async def do(self, what: str) -> None:
        """Make one change: promote, rollback, or publish, revert, purge with `production` or `other` behind it."""
        kind, _, which = what.partition(" ")
        now = next(change.value for change in reversed(self.changes) if change.thing == PRODUCTION)
        other = next(version for version in VERSIONS if version != now)
        version = now if which == "production" else other
        if kind == "promote":
            await self._logged(PRODUCTION, other, self._promote(other))
        elif kind == "rollback":
            await self._logged(PRODUCTION, other, self._roll_back(other))
        elif kind == "publish":
            self._publishes += 1
            self._in_force[version] = [self._in_force[version][-1], str(self._publishes)]
            await self._logged(published(version), str(self._publishes), self._publish(version, self._publishes))
        elif kind == "revert":
            before, *_ = self._in_force[version]
            self._in_force[version] = [before]
            await self._logged(published(version), before, self._revert(version))
        else:
            await self._logged(purged(version), NOTHING, self._purge(version))
        await self._answered_since(time.monotonic())

    async def _logged(self, thing: str, value: str, acting: Awaitable[route_pb2.RouteStatus]) -> None:
        at = len(self.changes)
        self.changes.append(Change(thing, value, time.monotonic()))
        status = await acting
        assert not status.unacknowledged_data_planes
        self.changes[at] = Change(thing, value, self.changes[at].asked_at, time.monotonic())

    async def _declare(self) -> None:
        asked_at = time.monotonic()
        await self._promote(VERSIONS[0])
        self.changes.append(Change(PRODUCTION, VERSIONS[0], asked_at, time.monotonic()))
        routes, bearer = RouteServiceStub(self._channel), self._bearer()
        name = f"routes/{self.model}"
        route = (await routes.GetRoute(route_pb2.GetRouteRequest(name=name), metadata=bearer, timeout=20)).route
        route.lookup.ttl.seconds, route.lookup.stale_while_revalidate.seconds = TTL_S, STALE_S
        request = route_pb2.UpdateRouteRequest(route=route)
        await routes.UpdateRoute(request, metadata=bearer, timeout=READY_S)

    async def _promote(self, version: str) -> route_pb2.RouteStatus:
        answer = await self.client.models.promote(self.model, version)
        return await self.client.routes.await_epoch(self.model, answer.model.epoch, timeout=READY_S)

    async def _roll_back(self, version: str) -> route_pb2.RouteStatus:
        answer = await self.client.models.rollback(self.model)
        assert answer.model.production_version == version
        return await self.client.routes.await_epoch(self.model, answer.model.epoch, timeout=READY_S)

    async def _publish(self, version: str, number: int) -> route_pb2.RouteStatus:
        stub, bearer = precomputed_pb2_grpc.PrecomputedServiceStub(self._channel), self._bearer()
        begin = precomputed_pb2.BeginPublishRequest(parent=f"models/{self.model}/versions/{version}")
        name = (await stub.BeginPublish(begin, metadata=bearer, timeout=20)).publish.name
        value = published_value(VERSIONS.index(version) + 1, number)
        rows = precomputed_pb2.UploadAnswersRequest(
            name=name, entities=PUBLISHED, columns=[np.full(len(PUBLISHED), value, "<f4").tobytes()]
        )
        call = stub.UploadAnswers(iter([rows]), metadata=bearer, timeout=20)
        assert [answer.row_count async for answer in call] == [len(PUBLISHED)]
        commit = precomputed_pb2.CommitPublishRequest(name=name)
        return (await stub.CommitPublish(commit, metadata=bearer, timeout=30)).status

    async def _revert(self, version: str) -> route_pb2.RouteStatus:
        stub = precomputed_pb2_grpc.PrecomputedServiceStub(self._channel)
        request = precomputed_pb2.RevertPrecomputedRequest(name=f"models/{self.model}/versions/{version}")
        return (await stub.RevertPrecomputed(request, metadata=self._bearer(), timeout=30)).status

    async def _purge(self, version: str) -> route_pb2.RouteStatus:
        request = route_pb2.PurgeCacheRequest(name=f"routes/{self.model}", version=version)
        return (await RouteServiceStub(self._channel).PurgeCache(request, metadata=self._bearer(), timeout=30)).status

    async def _answered_since(self, since: float) -> None:
        """Wait until some requests that were sent from then on were answered."""

        def enough() -> bool:
            return sum(one.sent_at >= since for one in self.seen[-10 * BETWEEN :]) >= BETWEEN

        await eventually(enough, within=30)

    async def _ask(self, rng: Random) -> None:
        x = float(rng.randrange(INPUTS))
        entity = rng.choice(ENTITIES) if rng.random() < 0.7 else ""
        over = self._over_rest if rng.random() < 0.2 else self._over_grpc
        sent_at = time.monotonic()
        try:
            value, version, served_from, age_s = await over(x, entity)
        except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
            self.seen.append(Exchange(sent_at, time.monotonic(), x, error=repr(error)))
        else:
            self.seen.append(Exchange(sent_at, time.monotonic(), x, value, version, served_from, age_s))

    async def _over_grpc(self, x: float, entity: str) -> tuple[float, str, str, float]:
        request = predict_pb2.PredictRequest(model=self.model, entity_id=entity)
        request.inputs.add(name="x", datatype="FP32", shape=[1])
        request.raw_input_contents.append(np.float32(x).tobytes())
        stub = predict_pb2_grpc.RouterServiceStub(self._channel)
        answer = await stub.Predict(request, metadata=self._bearer(), timeout=15)
        value = float(np.frombuffer(answer.raw_output_contents[0], "<f4")[0])
        source = predict_pb2.PredictResponse.ServedFrom.Name(answer.served_from).removeprefix("SERVED_FROM_").lower()
        return value, answer.version, source, answer.age_ms / 1000

    async def _over_rest(self, x: float, entity: str) -> tuple[float, str, str, float]:
        body = {"instances": [x], "entity_id": entity} if entity else {"instances": [x]}
        response = await self._http.post(f"/v1/models/{self.model}:predict", json=body, headers=dict(self._bearer()))
        response.raise_for_status()
        answer = response.json()
        value = float(np.ravel(answer["predictions"])[0])
        return value, answer["model_version"], answer["served_from"], int(answer.get("age_ms", 0)) / 1000

    def _bearer(self) -> Sequence[tuple[str, str]]:
        if time.monotonic() - self._token_at > _NEW_TOKEN_EVERY_S:
            self._token, self._token_at = self.stack.token("reader"), time.monotonic()
        return metadata(self._token)


def plan(rounds: int, rng: Random) -> list[str]:
    """Return rounds of changes in an order of chance; each has one promotion and one rollback, in that order."""
    planned: list[str] = []
    for _ in range(rounds):
        kept = ["publish production", "publish other", "purge production", "purge other"]
        rng.shuffle(kept)
        first, second = sorted(rng.choices(range(len(kept) + 1), k=2))
        order = [*kept[:first], "promote", *kept[first:second], "rollback", *kept[second:]]
        for one in order:
            planned.append(one)
            if one.startswith("publish") and rng.random() < 0.5:
                planned.append(one.replace("publish", "revert"))
    return planned
