"""RunEvents of OpenLineage of versions on their way to whoever collects them, from a registry over PostgreSQL."""

from pathlib import Path
from typing import Any

import asyncpg
import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2, webhook_pb2, webhook_pb2_grpc
from headrace_servicekit.testing import eventually, free_port

from tests.kit.clients.refusals import refused
from tests.kit.models import onnx_models
from tests.kit.registry.lineage import Collector, plain, rebuilt
from tests.kit.registry.process import Rig, process
from tests.kit.registry.service import Registry, real_registry


def of_jobs(collector: Collector) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in collector.events]


async def asked(postgres_url: str, query: str) -> Any:
    connection = await asyncpg.connect(postgres_url, timeout=10)
    try:
        return await connection.fetchval(query)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


async def known(postgres_url: str) -> bool:
    """Return whether the database knows who collects lineage."""
    return bool(await asked(postgres_url, "select exists (select from webhooks where format = 'open_lineage')"))


async def test_registering_promoting_and_rolling_back_are_runs_told_in_order(postgres_url, s3, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text("secret\n")
    with Collector.started() as collector:
        how: dict[str, Any] = {
            "lineage_url": collector.url,
            "lineage_key_file": key,
            "webhook_allow": collector.address,
        }
        async with (
            real_registry(postgres_url, s3, tmp_path, **how) as registry,
            grpc.aio.insecure_channel(registry.target) as channel,
        ):
            await eventually(lambda: known(postgres_url), within=30)
            await registry.register("digits", "v1")
            await registry.promote("digits", "v1")
            lineage = registry_pb2.Lineage(
                parent_version="v1", run="run-7", dataset="s3://tables/digits", code_revision="abc"
            )
            second = await registry.register("digits", "v2", onnx_models.linear(4, 3, seed=2), lineage=lineage)
            await refused(registry.register("digits", "v2", onnx_models.linear(4, 3, seed=3)))
            await registry.promote("digits", "v2")
            await registry.rollback("digits")
            jobs = ["registration.digits", "promotion.digits.production"] * 2 + ["rollback.digits"]
            want = [(job, type_) for job in jobs for type_ in ("START", "COMPLETE")]
            await eventually(lambda: len(collector.events) >= len(want), within=30)
            assert of_jobs(collector) == want
            webhooks = webhook_pb2_grpc.RegistryWebhookServiceStub(channel)
            listed = await webhooks.ListRegistryWebhooks(webhook_pb2.ListRegistryWebhooksRequest(), timeout=20)
            assert not listed.webhooks  # of people
    assert collector.keys == {"Bearer secret"}
    assert len({event["run"]["runId"] for event in collector.events}) == len(jobs)
    assert all(plain(event) == plain(rebuilt(event)) for event in collector.events)
    data, parent = collector.events[5]["inputs"]
    assert (data["namespace"], data["name"]) == ("s3://tables", "digits")
    (first,) = collector.events[1]["outputs"]
    assert (parent["name"], parent["facets"]["version"]) == (first["name"], first["facets"]["version"])
    (output,) = collector.events[5]["outputs"]
    assert output["facets"]["version"]["datasetVersion"] == second.digest
    assert collector.events[-1]["outputs"][0]["name"] == "models/digits/versions/v1"


@pytest.mark.faults
async def test_a_registry_that_is_killed_tells_what_it_acknowledged(rig: Rig):
    with Collector.started() as collector:
        collector.refuses = True
        rig.environment |= {
            "REGISTRY_LINEAGE_URL": collector.url,
            "REGISTRY_WEBHOOK_ALLOW": collector.address,
            "REGISTRY_WEBHOOK_RETRY_S": "0.2",
            "REGISTRY_WEBHOOK_TIMEOUT_S": "1",
        }
        async with process(rig, free_port()) as (started, stub):
            await eventually(lambda: known(rig.environment["REGISTRY_DATABASE_URL"]), within=30)
            registry = Registry("", stub, None)  # type: ignore[arg-type]
            await registry.register("digits", "v1")
            started.kill()
            await started.wait()
        collector.refuses = False
        async with process(rig, free_port()):
            want = [("registration.digits", "START"), ("registration.digits", "COMPLETE")]
            await eventually(lambda: len(collector.events) >= len(want), within=60)
        assert of_jobs(collector) == want
        assert len({event["run"]["runId"] for event in collector.events}) == 1


async def test_nothing_waits_for_anybody_once_nobody_collects_lineage(postgres_url, s3, tmp_path: Path):
    with Collector.started() as collector:
        collector.refuses = True
        how: dict[str, Any] = {"lineage_url": collector.url, "webhook_allow": collector.address}
        async with real_registry(postgres_url, s3, tmp_path, **how) as registry:
            await eventually(lambda: known(postgres_url), within=30)
            await registry.register("digits", "v1")
            assert await asked(postgres_url, "select count(*) from deliveries") == 2
    async with real_registry(postgres_url, s3, tmp_path) as registry:

        async def forgotten() -> bool:
            return not await known(postgres_url)

        await eventually(forgotten, within=30)
        await registry.promote("digits", "v1")
        assert await asked(postgres_url, "select count(*) from deliveries") == 0
