"""Many writers of one model on real PostgreSQL: one wins, the others are told, and readers never see in between."""

import asyncio

import grpc
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.testing import eventually

from tests.kit.registry.service import Registry, real_registry

PROMOTERS = 100
PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION


@pytest.fixture
async def replicas(postgres_url, s3, tmp_path):
    """Two registries over one database and one bucket."""
    async with (
        real_registry(postgres_url, s3, tmp_path, database_connections=6) as first,
        real_registry(postgres_url, s3, tmp_path, database_connections=6) as second,
    ):
        yield first, second


class Readers:
    """Read production over and over, in the ways that there are. seen: what each read saw, as a tuple of versions."""

    def __init__(self, registries: tuple[Registry, ...]) -> None:
        self.seen: list[tuple[str, ...]] = []
        self._tasks = [
            asyncio.create_task(read(registry))
            for registry in registries
            for read in (self._read_model, self._read_versions, self._read_all)
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for outcome in outcomes:
            if not isinstance(outcome, asyncio.CancelledError):
                raise AssertionError("a reader stopped") from (outcome if isinstance(outcome, BaseException) else None)

    async def _read_model(self, registry: Registry) -> None:
        while True:
            version = (await registry.model("digits")).production_version
            self.seen.append((version,) if version else ())

    async def _read_versions(self, registry: Registry) -> None:
        request = registry_pb2.ListModelVersionsRequest(parent="models/digits", stage=PRODUCTION)
        while True:
            page = await registry.stub.ListModelVersions(request, timeout=20)
            self.seen.append(tuple(version.name for version in page.versions))

    async def _read_all(self, registry: Registry) -> None:
        while True:
            async for message in registry.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=20):
                if message.snapshot_complete:
                    break
                found = tuple(version.name for version in message.versions if version.stage == PRODUCTION)
                assert found == (f"models/digits/versions/{message.model.production_version}",)
                self.seen.append(found)


async def test_of_100_promotes_with_one_etag_one_succeeds_and_readers_always_see_one_production(replicas):
    first, _ = replicas
    for number in range(10):
        await first.register("digits", f"v{number}")
    await first.promote("digits", "v0")
    etag = (await first.model("digits")).etag
    readers = Readers(replicas)

    async def promote(number: int) -> str:
        registry = replicas[number % 2]
        try:
            await registry.promote("digits", f"v{1 + number % 9}", etag=etag, reason=str(number))
        except grpc.aio.AioRpcError as error:
            typed = from_rpc_error(error)
            return f"{typed.code.name} {typed.reason}"
        return "OK"

    outcomes = await asyncio.gather(*(promote(number) for number in range(PROMOTERS)))
    # The promotions are over soon; the readers look on a moment longer, so that the state after them is seen too.
    seen = len(readers.seen)
    await eventually(lambda: len(readers.seen) > seen + 20)
    await readers.stop()

    assert sorted(outcomes) == ["ABORTED ETAG_MISMATCH"] * (PROMOTERS - 1) + ["OK"]
    assert {len(versions) for versions in readers.seen} == {1}
    assert sum(event.to_stage == PRODUCTION for event in await first.events("digits")) == 2


async def test_promotions_and_rollbacks_without_etags_all_happen_and_readers_always_see_one_production(replicas):
    first, _ = replicas
    for number in range(4):
        await first.register("digits", f"v{number}")
    # Enough to go back to for all rollbacks below, should every promotion beside them change nothing.
    for number in range(13):
        await first.promote("digits", f"v{number % 4}")
    before = await first.model("digits")
    readers = Readers(replicas)

    async def write(number: int) -> bool:
        registry = replicas[number % 2]
        if number % 5 == 0:
            await registry.rollback("digits", reason=str(number))
            return True
        epoch = (await registry.promote("digits", f"v{number % 4}", reason=str(number))).model.epoch
        return epoch >= before.epoch  # equal when the version was in production already: nothing changed

    assert all(await asyncio.gather(*(write(number) for number in range(1, 60))))
    await readers.stop()
    assert {len(versions) for versions in readers.seen} == {1}

    after = await first.model("digits")
    events = await first.events("digits")
    assert {event.epoch for event in events} == set(range(1, after.epoch + 1))
    newest = next(event for event in events if event.to_stage == PRODUCTION)
    assert newest.version == after.production_version


async def test_the_same_write_sent_many_times_at_once_happens_once(replicas):
    first, _ = replicas
    await first.register("digits", "v1")
    answers = await asyncio.gather(
        *(replicas[number % 2].promote("digits", "v1", request_id="once") for number in range(20))
    )
    assert all(answer == answers[0] for answer in answers)
    assert (await first.model("digits")).epoch == answers[0].model.epoch == 2


async def test_the_same_version_registered_many_times_at_once_exists_once(replicas):
    answers = await asyncio.gather(*(replicas[number % 2].register("digits", "v1") for number in range(12)))
    assert all(answer == answers[0] for answer in answers)
    assert (await replicas[1].model("digits")).epoch == 1
