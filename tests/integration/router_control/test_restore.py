"""Yesterday's backup put back under a running control plane and a running data plane."""

import io
import json
import os
from uuid import UUID

import asyncpg
import grpc.aio
import pytest
from headrace.router.v1 import route_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.testing import eventually

from tests.kit.batcher.fake_batcher import FakeBatcher
from tests.kit.clients.commands import PYTHON, Done, run
from tests.kit.clients.refusals import reason_of
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.data_plane import data_plane
from tests.kit.router.digits import DIGITS
from tests.kit.router.fake_control import resolved_version
from tests.kit.router.registry_feed import RegistryFeed, digest_of

TABLES = ("store", "versions", "routes", "changes", "generations", "requests", "data_planes")


def held(version: str):
    made = resolved_version("digits", version)
    made.digest = digest_of("digits", version)
    return made


async def backup(url: str) -> dict[str, bytes]:
    """Copy every table but the leases of batchers, all of one moment."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            copies = {}
            for table in TABLES:
                out = io.BytesIO()
                await connection.copy_from_table(table, output=out, format="binary")
                copies[table] = out.getvalue()
            return copies
    finally:
        await connection.close()


async def put_back(url: str, copies: dict[str, bytes]) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(f"truncate {', '.join(TABLES)}, reports")
            for table in TABLES:
                await connection.copy_to_table(table, source=io.BytesIO(copies[table]), format="binary")
    finally:
        await connection.close()


async def renew_incarnation(url: str, **more: str) -> Done:
    return await command("renew-incarnation", url, **more)


async def command(name: str, url: str, **more: str) -> Done:
    """Run a command as an operator does."""
    settings = {"ROUTER_CONTROL_DATABASE_URL": url, "ROUTER_CONTROL_REGISTRY_TARGET": "127.0.0.1:1", **more}
    return await run(*PYTHON, "headrace_router.control", name, environment={**os.environ, **settings})


async def split(plane: Plane, version: str, etag: str = "") -> route_pb2.UpdateRouteResponse:
    route = route_pb2.Route(
        name="routes/digits", etag=etag, variants=[route_pb2.Variant(name="all", version=version, weight=1)]
    )
    return await plane.write(route)


@pytest.mark.long
async def test_after_a_restore_everybody_begins_anew_with_what_the_backup_says(
    postgres_url: str, registry: RegistryFeed, tmp_path
):
    async with (
        control_plane(postgres_url, registry.target) as plane,
        FakeBatcher.serving([held("v1"), held("v2")]) as batcher,
    ):
        registry.put("digits", "v1", "v2", production="v1")
        await plane.report("p1", "v1", "v2")
        async with data_plane(plane.target, {"default": [batcher.target]}, tmp_path) as data:

            async def answers_by(version: str, generation: int) -> bool:
                try:
                    answer = await data.stub.Predict(DIGITS, timeout=5)
                except grpc.aio.AioRpcError:
                    return False
                return (answer.version, answer.generation) == (version, generation)

            yesterday = await eventually(lambda: split(plane, "v1"), within=10)
            copies = await backup(postgres_url)
            today = yesterday
            for _ in range(3):
                today = await split(plane, "v2", today.route.etag)
            await eventually(lambda: answers_by("v2", today.status.generation))
            old_watch = plane.watch("another")
            message = await anext(aiter(old_watch))

            await put_back(postgres_url, copies)
            await plane.report("p1", "v1", "v2")
            renewed = await renew_incarnation(postgres_url)
            assert renewed.exit_code == 0, renewed.stderr
            incarnation = json.loads(renewed.stdout)["incarnation"]
            assert str(UUID(incarnation)) == incarnation != message.incarnation
            await eventually(lambda: answers_by("v1", yesterday.status.generation), within=15)

            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in old_watch:
                    pass
            assert from_rpc_error(ended.value).reason == "WATCH_BEHIND"
            assert await reason_of(plane.acknowledge("plane-0", message)) == "INCARNATION_MISMATCH"

            async def acknowledged() -> bool:
                (seen,) = [one for one in (await plane.get()).status.data_planes if one.name == "data-0"]
                return seen.acknowledged

            await eventually(acknowledged, within=15)
            await plane.report("p1", "v1", "v2")  # what it said before may be forgotten by now
            after = await split(plane, "v2", yesterday.route.etag)
            assert after.status.generation == yesterday.status.generation + 1
            await eventually(lambda: answers_by("v2", after.status.generation), within=15)


async def test_the_command_says_what_is_wrong(postgres_url: str):
    done = await renew_incarnation("postgresql://nobody@127.0.0.1:1/router")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "database cannot be reached" in done.stderr
    done = await renew_incarnation(postgres_url, ROUTER_CONTROL_TYPO="1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "ROUTER_CONTROL_TYPO" in done.stderr


@pytest.mark.long
async def test_the_schema_may_come_before_the_service(second_postgres_url: str):
    for expected in (True, False):  # a second time it changes nothing
        done = await command("migrate", second_postgres_url)
        assert (done.exit_code, "schema" in done.stdout) == (0, True), done.stderr
        assert ("migration applied" in done.stderr) is expected
    connection = await asyncpg.connect(second_postgres_url)
    try:
        assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") > 3
    finally:
        await connection.close()
