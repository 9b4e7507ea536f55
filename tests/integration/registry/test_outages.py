"""PostgreSQL or S3 gone, frozen, or gone in the middle: UNAVAILABLE with RetryInfo, soon; then well again by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace

import grpc
import pytest
from click.testing import CliRunner
from headrace.registry.v1 import registry_pb2
from headrace_client.cli import main
from headrace_client.cli.failures import UNAVAILABLE
from headrace_registry import service
from headrace_servicekit.errors import Code, ServiceError
from headrace_servicekit.testing import eventually, running
from headrace_stack.components import postgres
from headrace_stack.testing import held_stack

from tests.kit.clients.refusals import refused
from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry, real_registry, real_settings
from tests.kit.stores.servers import home_for_tests, kill_component, worker_name
from tests.kit.wire.forwarder import Forwarder

pytestmark = pytest.mark.faults

# Longer than any wait of the registry's own, and far shorter than the test's limit.
SOON_S = 15.0


@dataclass(frozen=True, slots=True)
class Rig:
    registry: Registry
    database: Forwarder
    s3: Forwarder


@pytest.fixture
async def rig(postgres_url, s3, tmp_path) -> AsyncIterator[Rig]:
    async with Forwarder.before(postgres_url) as database, Forwarder.before(s3.endpoint) as store:
        there = replace(s3, endpoint=store.url(s3.endpoint))
        async with real_registry(database.url(postgres_url), there, tmp_path, database_connections=4) as registry:
            yield Rig(registry, database, store)
            database.mend()
            store.mend()


async def unavailable(call: Awaitable[object]) -> ServiceError:
    """Expect that a call is answered UNAVAILABLE, with RetryInfo, soon."""
    start = time.monotonic()
    error = await refused(call)
    assert error.code is Code.UNAVAILABLE, error
    assert error.retry_after_s
    assert time.monotonic() - start < SOON_S
    return error


def healthy(rig: Rig, name: str) -> bool:
    return rig.registry.runtime.health.components()[name][0]


async def test_without_the_database_calls_are_unavailable_and_come_back_with_it(rig):
    await rig.registry.register("digits", "v1")
    rig.database.cut()
    registry = rig.registry
    for call in (registry.model("digits"), registry.promote("digits", "v1"), registry.register("digits", "v2")):
        error = await unavailable(call)
        assert error.reason == "DATABASE_UNAVAILABLE"
    await eventually(lambda: not rig.registry.runtime.health.ready)
    rig.database.mend()
    await eventually(lambda: rig.registry.runtime.health.ready)
    assert (await rig.registry.promote("digits", "v1")).model.production_version == "v1"


async def test_a_restart_of_the_database_costs_no_later_call(rig):
    await rig.registry.register("digits", "v1")
    await asyncio.gather(*(rig.registry.model("digits") for _ in range(20)))
    rig.database.drop()
    # Every pooled connection is dead now; whoever takes one must not notice.
    for _ in range(10):
        assert (await rig.registry.model("digits")).production_version == ""
    rig.database.drop()
    assert (await rig.registry.promote("digits", "v1")).model.production_version == "v1"


async def test_a_frozen_database_makes_no_call_hang(rig):
    await rig.registry.register("digits", "v1")
    rig.database.freeze()
    reads = [unavailable(rig.registry.model("digits")) for _ in range(10)]
    writes = [unavailable(rig.registry.promote("digits", "v1")) for _ in range(10)]
    await asyncio.gather(*reads, *writes)
    await eventually(lambda: not healthy(rig, "postgres"))
    rig.database.mend()
    await eventually(lambda: healthy(rig, "postgres"), within=SOON_S)
    assert (await rig.registry.promote("digits", "v1")).model.production_version == "v1"


async def test_no_acknowledged_write_is_lost_and_none_happens_twice_while_connections_break(rig):
    await rig.registry.register("digits", "v1")

    async def write(number: int) -> int:
        """Set an alias until it is acknowledged, always under the same request id; return the epoch that it made."""
        request = registry_pb2.SetAliasRequest(
            name=f"models/digits/aliases/a{number}", version="v1", request_id=f"r{number}"
        )
        return await eventually(lambda: epoch_of(rig.registry.stub.SetAlias(request, timeout=20)), within=60)

    async def epoch_of(call) -> int:
        """Return the epoch that a call answers, 0 for UNAVAILABLE."""
        code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), code
        return (await call).model.epoch if code is grpc.StatusCode.OK else 0

    async def break_things() -> None:
        for _ in range(15):
            await asyncio.sleep(0.03)
            rig.database.drop()

    breaking = asyncio.create_task(break_things())
    epochs = []
    for start in range(0, 60, 6):
        epochs += await asyncio.gather(*(write(number) for number in range(start, start + 6)))
    await breaking
    model = await rig.registry.model("digits")
    assert sorted(epochs) == list(range(2, 62))
    assert (model.epoch, len(model.aliases)) == (61, 60)


async def test_a_watch_outlives_a_hiccup_and_ends_when_the_database_stays_away(rig):
    await rig.registry.register("digits", "v1")
    watch = rig.registry.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=60)
    messages = aiter(watch)
    while not (await anext(messages)).snapshot_complete:
        pass
    rig.database.drop()
    await eventually(lambda: healthy(rig, "postgres"))
    promoted = await rig.registry.promote("digits", "v1")
    message = await anext(messages)
    assert message.model == promoted.model
    rig.database.cut()
    error = await unavailable(anext(messages))
    assert error.reason in ("STORE_LOST", "DATABASE_UNAVAILABLE")
    rig.database.mend()
    resume = registry_pb2.WatchModelsRequest(resume_token=message.resume_token)
    await eventually(lambda: rig.registry.runtime.health.ready)
    resumed = rig.registry.stub.WatchModels(resume, timeout=60)
    await rig.registry.register("digits", "v2")
    assert (await anext(aiter(resumed))).model.epoch == promoted.model.epoch + 1
    resumed.cancel()


async def test_without_s3_only_uploads_are_unavailable(rig):
    await rig.registry.register("digits", "v1")
    rig.s3.cut()
    error = await unavailable(rig.registry.upload(onnx_models.classifier().content))
    assert error.reason == "ARTIFACT_STORE_UNAVAILABLE"
    assert (await rig.registry.promote("digits", "v1")).model.production_version == "v1"
    await eventually(lambda: not healthy(rig, "s3"))
    assert rig.registry.runtime.health.ready
    rig.s3.mend()
    await eventually(lambda: healthy(rig, "s3"))
    await rig.registry.register("digits", "v2", onnx_models.classifier())


async def test_without_s3_the_command_line_names_s3_rather_than_the_front_door(rig, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(onnx_models.classifier().content)
    rig.s3.cut()
    words = ("models", "register", "digits", "v1", str(model))
    env = {"HEADRACE_ADDRESS": rig.registry.runtime.servers[0].address, "HEADRACE_TOKEN": "unread"}
    done = await asyncio.to_thread(CliRunner().invoke, main, words, env=env)
    rig.s3.mend()
    assert done.exit_code == UNAVAILABLE
    assert "the artifact store (S3) cannot be reached" in done.stderr
    assert "ARTIFACT_STORE_UNAVAILABLE" in done.stderr
    assert "S3, which stores model files, is unreachable, and the registry is up" in " ".join(done.stderr.split())
    assert "is the address right" not in done.stderr


async def test_a_frozen_s3_makes_no_upload_hang(rig):
    rig.s3.freeze()
    await unavailable(rig.registry.upload(onnx_models.linear().content))
    rig.s3.mend()
    await eventually(lambda: healthy(rig, "s3"), within=SOON_S)
    await rig.registry.register("digits", "v1")


async def test_a_registry_starts_without_its_stores_and_serves_when_they_come(postgres_url, s3, tmp_path):
    async with Forwarder.before(postgres_url) as database, Forwarder.before(s3.endpoint) as store:
        database.cut()
        store.cut()
        settings = real_settings(database.url(postgres_url), replace(s3, endpoint=store.url(s3.endpoint)), tmp_path)

        async def mend_later() -> None:
            await eventually(lambda: runtimes)
            runtime = runtimes[0]
            await eventually(lambda: runtime.health.components().get("postgres", (True,))[0] is False)
            assert not runtime.health.ready
            database.mend()
            store.mend()

        runtimes = []

        async def start(runtime) -> None:
            runtimes.append(runtime)
            await service.start(runtime)

        mending = asyncio.create_task(mend_later())
        async with running("registry", settings, start) as runtime:
            await mending
            assert runtime.health.ready


async def test_an_acknowledged_promotion_survives_kill_9_of_postgresql(s3, tmp_path):
    home = home_for_tests(f"postgres-{worker_name()}")
    with held_stack(home, only=[postgres.NAME]) as server:
        async with real_registry(postgres.url(server, "postgres"), s3, tmp_path) as registry:
            await registry.register("digits", "v1")
            promoted = await registry.promote("digits", "v1")
            kill_component(server, postgres.NAME)

            async def code() -> grpc.StatusCode:
                return await registry.stub.GetModel(registry_pb2.GetModelRequest(name="models/digits")).code()

            async def gone() -> bool:
                return await code() is grpc.StatusCode.UNAVAILABLE

            async def back() -> bool:
                return not await gone()

            await eventually(gone, within=30)
            await eventually(back, within=60, every=0.1)
            assert await registry.model("digits") == promoted.model
