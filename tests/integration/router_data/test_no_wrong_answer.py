"""While versions, purges and publishes come and go, no answer is one that was no longer to be given when it was asked.

Two data planes share a real Valkey; readers ask both all the time. What a batcher computes carries the number of its
execution, what is published its version and generation, so that every answer shows where it comes from.
"""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
from dataclasses import dataclass, field

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2
from headrace.router.v1.control_pb2 import StoredAnswers
from headrace_router import stored_answers
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.router.answer_sources import CACHE, ONLINE, PRECOMPUTED
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.digits import V1, V2, digits_request, row
from tests.kit.router.fake_control import INCARNATION, FakeControl, lookup, table
from tests.kit.router.lookup_bench import outputs
from tests.kit.stores.valkey_process import ValkeyProcess

VERSIONS = {"v1": V1, "v2": V2}
NAMES = ("data-0", "data-1")
ENTITIES = ("", "ada", "bob", "eve")
KEPT_FOR_ENTITIES = ("ada", "bob")
READERS, CHANGES = 6, 14


@dataclass(slots=True)
class Reign:
    """A table: from when on it may decide, and until when. epoch_since: since when its cache entries may be made."""

    generation: int
    version: str
    precomputed: int
    epoch_since: float
    since: float
    until: float = math.inf


@dataclass(slots=True)
class Received:
    """An answer. value: number of its execution, or what was published."""

    asked: float
    received: float
    answer: predict_pb2.PredictResponse

    @property
    def value(self) -> int:
        return struct.unpack("<I", self.answer.raw_output_contents[0])[0]


@dataclass
class World:
    """The truth about tables and executions, and all that readers saw."""

    rng: random.Random
    control: FakeControl
    store: object
    reigns: list[Reign] = field(default_factory=list)
    executed: dict[int, tuple[str, float]] = field(default_factory=dict)
    epochs: dict[str, tuple[int, float]] = field(default_factory=lambda: dict.fromkeys(VERSIONS, (0, 0.0)))
    precomputed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERSIONS, 0))
    published: int = 0
    version: str = "v1"
    seen: list[Received] = field(default_factory=list)

    async def compute(self, batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        number = len(self.executed) + 1
        self.executed[number] = (batcher.versions[request.version].version, time.monotonic())
        await asyncio.sleep(self.rng.choice((0.0, 0.001, 0.02)))
        return batcher_pb2.InferResponse(id=request.id, outputs=outputs(struct.pack("<I", number)), batch_requests=1)

    async def change(self) -> None:
        """Promote, roll back, purge, publish or revert, and return when both data planes have acknowledged."""
        step = self.rng.choice(("promote", "purge", "publish", "revert"))
        if step == "promote":
            self.version = "v2" if self.version == "v1" else "v1"
        elif step == "purge":
            self.epochs[self.version] = (self.epochs[self.version][0] + 1, time.monotonic())
        elif step == "publish":
            await self.publish(self.version)
        else:
            self.precomputed[self.version] = max(0, self.precomputed[self.version] - 1)
        await self.put()

    async def publish(self, version: str) -> None:
        self.published += 1
        generation = self.published
        prefix = stored_answers.precomputed_prefix(INCARNATION, VERSIONS[version].digest, generation)
        for entity in KEPT_FOR_ENTITIES:
            key, made = prefix + entity.encode(), struct.pack("<I", _published(version, generation))
            entry = stored_answers.Entry(int(time.time() * 1000), outputs(made))
            await self.store.set(key, stored_answers.encode(key, entry))  # type: ignore[attr-defined]
        self.precomputed[version] = generation

    async def put(self) -> None:
        answers = [
            StoredAnswers(
                digest=VERSIONS[name].digest,
                cache_epoch=self.epochs[name][0],
                precomputed_generation=self.precomputed[name],
            )
            for name in VERSIONS
        ]
        policy = lookup(ttl=2, stale_while_revalidate=2, stale_on_error=10)
        since = time.monotonic()
        versions = [VERSIONS[self.version], *(one for name, one in VERSIONS.items() if name != self.version)]
        generation = self.control.put_table(table("digits", versions, lookup=policy, kept=answers))
        reign = Reign(
            generation, self.version, self.precomputed[self.version], self.epochs[self.version][1], since
        )  # fmt: skip
        self.reigns.append(reign)
        await eventually(lambda: all(self.control.acknowledged.get(name, 0) >= generation for name in NAMES), within=20)
        for before in self.reigns[:-1]:
            before.until = min(before.until, time.monotonic())

    async def read(self, planes: list[DataPlane]) -> None:
        """Ask for ever."""
        while True:
            asked_for = row(self.rng.randrange(3), 0, 0, 0)
            request = digits_request(asked_for, entity_id=self.rng.choice(ENTITIES))
            asked = time.monotonic()
            answer = await self.rng.choice(planes).stub.Predict(request, timeout=10)
            self.seen.append(Received(asked, time.monotonic(), answer))

    def fault(self, one: Received) -> str:
        """Say what is wrong with an answer, or nothing: some table that was in force while it was asked allows it."""
        answer = one.answer
        faults = [
            self._fault_under(reign, one)
            for reign in self.reigns
            if reign.since <= one.received and one.asked <= reign.until and reign.generation == answer.generation
        ]
        if not faults:
            return f"generation {answer.generation} was not in force"
        return "" if "" in faults else "; ".join(faults)

    def _fault_under(self, reign: Reign, one: Received) -> str:
        if one.answer.version != reign.version:
            return f"{one.answer.version} instead of {reign.version}"
        if one.answer.served_from == PRECOMPUTED:
            right = one.value == _published(reign.version, reign.precomputed)
            return "" if right else f"another precomputed answer: {one.value:x}"
        version, began = self.executed[one.value]
        if version != reign.version:
            return f"computed by {version}"
        return "" if began >= reign.epoch_since else "computed before the purge"


def _published(version: str, generation: int) -> int:
    return 0x80000000 | generation << 4 | int(version[1:])


AGAIN_AND_AGAIN = [pytest.param(seed, marks=[pytest.mark.faults, pytest.mark.long]) for seed in range(100, 140)]


@pytest.mark.parametrize("seed", [0, 1, *AGAIN_AND_AGAIN])
async def test_no_answer_is_wrong_whatever_changes(seed: int, tmp_path):
    rng = random.Random(seed)
    async with (
        ValkeyProcess.running() as valkey,
        valkey.client() as store,
        FakeBatcher.serving(list(VERSIONS.values())) as batcher,
        FakeControl.serving() as control,
    ):
        world = World(rng, control, store)
        batcher.behave = world.compute
        control.put_table(table("digits", list(VERSIONS.values())))
        how = {"valkey_url": valkey.url, "valkey_timeout_s": 0.05}
        async with (
            data_plane(control.target, {"default": [batcher.target]}, tmp_path / "0", id="data-0", **how) as one,
            data_plane(control.target, {"default": [batcher.target]}, tmp_path / "1", id="data-1", **how) as other,
        ):
            await world.put()
            readers = [asyncio.create_task(world.read([one, other])) for _ in range(READERS)]
            for _ in range(CHANGES):
                await world.change()
                before = len(world.seen)
                await eventually(lambda before=before: len(world.seen) >= before + 40, within=20)
            for reader in readers:
                reader.cancel()
            outcomes = await asyncio.gather(*readers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    assert [fault for seen in world.seen if (fault := world.fault(seen))] == []
    sources = {seen.answer.served_from for seen in world.seen}
    assert {ONLINE, CACHE} <= sources, "the readers were to meet what is kept"
