"""The monitor starts on an empty database and says how it is."""

from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace_servicekit.testing import eventually

from tests.kit.monitor.service import real_monitor
from tests.kit.registry.service import memory_registry


async def test_on_an_empty_database_it_makes_its_schema_and_serves(postgres_url, s3, tmp_path):
    async with (
        memory_registry() as registry,
        real_monitor(postgres_url, s3, tmp_path, registry=registry.target) as monitor,
    ):
        health: Any = health_pb2_grpc.HealthStub(monitor.channel)

        async def serves() -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            return answer.status == health_pb2.HealthCheckResponse.SERVING

        await eventually(serves)
