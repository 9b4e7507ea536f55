"""The stores that tests and `make up` use are the real ones and behave as the services rely on."""

from pathlib import Path
from typing import Any

import aioboto3
import asyncpg
import pytest
import redis.asyncio
from botocore.config import Config
from botocore.exceptions import ClientError
from headrace_servicekit.testing import eventually
from headrace_stack import snapshot
from headrace_stack.components import s3 as seaweed
from headrace_stack.settings import StackSettings
from headrace_stack.snapshot import ComponentStatus, State
from headrace_stack.testing import held_stack

from tests.kit.stores.servers import S3Store, kill_component


def s3_client(store: S3Store) -> Any:
    return aioboto3.Session().client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name=store.region,
        config=Config(s3={"addressing_style": "path"}),
    )


async def test_each_test_gets_an_empty_database_of_postgresql_18(postgres_url: str):
    connection = await asyncpg.connect(postgres_url)
    try:
        assert connection.get_server_version().major == 18
        assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
    finally:
        await connection.close()


async def test_postgresql_refuses_a_wrong_password(postgres_server: StackSettings):
    port = postgres_server.ports.postgres.number
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=port, user="headrace", password="wrong", timeout=5)


async def test_valkey_keeps_keys_without_ttl_and_writes_them_to_disk(valkey_url: str):
    client = redis.asyncio.Redis.from_url(valkey_url)
    try:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        await client.set("precomputed", b"1")
        # WAITAOF 1 0: the answer comes once the write is in the append-only file on this machine's disk.
        assert await client.execute_command("WAITAOF", 1, 0, 5000) == [1, 0]
    finally:
        await client.aclose()


async def test_s3_refuses_to_overwrite_when_asked_to_create_only(s3: S3Store):
    async with s3_client(s3) as client:
        await client.put_object(Bucket=s3.bucket, Key="a", Body=b"first", IfNoneMatch="*")
        with pytest.raises(ClientError) as refused:
            await client.put_object(Bucket=s3.bucket, Key="a", Body=b"second", IfNoneMatch="*")
        body = await (await client.get_object(Bucket=s3.bucket, Key="a"))["Body"].read()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert body == b"first"


@pytest.mark.faults
async def test_an_object_that_s3_acknowledged_survives_a_kill(tmp_path: Path):
    with held_stack(tmp_path, only=["s3"]) as settings:
        keys = seaweed.keys(settings)
        store = S3Store(seaweed.endpoint(settings), keys.access_key, keys.secret_key, seaweed.BUCKET)
        async with s3_client(store) as client:
            await client.put_object(Bucket=store.bucket, Key="kept", Body=b"x" * 5_000_000)
            kill_component(settings, "s3")
            await eventually(lambda: _restarted(settings, 0), within=60)
            body = await (await client.get_object(Bucket=store.bucket, Key="kept"))["Body"].read()
    assert body == b"x" * 5_000_000


@pytest.mark.faults
async def test_a_killed_valkey_is_started_again_with_its_data(valkey_url: str, valkey_server: StackSettings):
    client = redis.asyncio.Redis.from_url(valkey_url)
    await client.set("key", b"value")
    await client.execute_command("WAITAOF", 1, 0, 5000)
    await client.aclose()
    before = _first(valkey_server).restarts
    kill_component(valkey_server, "valkey")
    await eventually(lambda: _restarted(valkey_server, before), within=20)

    again = redis.asyncio.Redis.from_url(valkey_url)
    try:
        assert await again.get("key") == b"value"
    finally:
        await again.aclose()


def _first(settings: StackSettings) -> ComponentStatus:
    seen = snapshot.read(settings.snapshot)
    assert seen is not None
    return seen.components[0]


def _restarted(settings: StackSettings, before: int) -> bool:
    return _first(settings).restarts > before and _first(settings).state is State.READY
