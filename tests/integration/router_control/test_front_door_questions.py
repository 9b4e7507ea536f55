"""What the front door asks the control plane on behalf of callers: reflection, and the health of the installation."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from headrace_servicekit.testing import eventually

from tests.kit.clients.commands import run
from tests.kit.deployment.topology import services
from tests.kit.router.control_plane import Plane, control_plane
from tests.kit.router.registry_feed import RegistryFeed

PUBLIC = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    *(offered for service in services().values() for offered in service.offers),
}
REGISTRY = "headrace.registry.v1.RegistryService"
ROUTER = "headrace.router.v1.RouterService"
INFERENCE = "inference.GRPCInferenceService"
EDGE = (("x-headrace-edge", "1"),)
Answer = health_pb2.HealthCheckResponse


async def test_reflection_lists_and_describes_every_public_service(plane: Plane):
    def described() -> tuple[set[str], list[str]]:
        with grpc.insecure_channel(plane.target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            registry = pool.FindServiceByName(REGISTRY)
            with pytest.raises(KeyError):
                pool.FindServiceByName("headrace.router.v1.ControlService")
            return set(database.get_services()), [method.name for method in registry.methods]

    listed, methods = await asyncio.to_thread(described)
    assert listed == PUBLIC
    assert "PromoteModelVersion" in methods


async def test_a_generic_client_calls_by_reflection_v1_alone(plane: Plane, registry: RegistryFeed):
    registry.put("digits", "v1")
    await eventually(lambda: plane.runtime.health.components()["registry"][0])
    buf = Path(sys.executable).with_name("buf")
    done = await run(
        buf, "curl", "--http2-prior-knowledge", "--protocol", "grpc", "--reflect", "--reflect-protocol", "grpc-v1",
        "-d", '{"name": "routes/digits"}', f"http://{plane.target}/headrace.router.v1.RouteService/GetRoute",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["status"]["state"] == "STATE_NOT_SERVING"


async def check(plane: Plane, service: str = "", metadata=EDGE) -> Answer.ServingStatus:
    stub: Any = health_pb2_grpc.HealthStub(plane.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10, metadata=metadata)
    return answer.status


async def test_the_front_door_gets_the_health_of_all_services_and_others_only_this_ones(
    postgres_url: str, registry: RegistryFeed
):
    data_plane = RegistryFeed()  # any server with health will do
    await data_plane.start()
    async with control_plane(postgres_url, registry.target, health_targets=f"{ROUTER}={data_plane.target}") as plane:
        own = [f"headrace.router.v1.{name}" for name in ("RouteService", "RateLimitService")]
        for service in ("", REGISTRY, ROUTER, INFERENCE, *own):
            assert await check(plane, service) == Answer.SERVING
        await data_plane.stop()

        async def noticed():
            return await check(plane) == Answer.NOT_SERVING

        await eventually(noticed, within=2)
        assert [await check(plane, service) for service in (ROUTER, INFERENCE)] == [Answer.NOT_SERVING] * 2
        assert await check(plane, REGISTRY) == Answer.SERVING
        assert await check(plane, "", metadata=()) == Answer.SERVING
        for service, metadata in (("headrace.batcher.v1.BatcherService", EDGE), (REGISTRY, ())):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(plane, service, metadata)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watch_flips_within_two_seconds_and_back(plane: Plane, registry: RegistryFeed):
    stub: Any = health_pb2_grpc.HealthStub(plane.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(), metadata=EDGE, timeout=60)
    assert (await watch.read()).status == Answer.SERVING
    await registry.stop()
    async with asyncio.timeout(2):
        assert (await watch.read()).status == Answer.NOT_SERVING
    await registry.start()
    async with asyncio.timeout(5):
        assert (await watch.read()).status == Answer.SERVING
    registry.serving = False
    async with asyncio.timeout(2):
        assert (await watch.read()).status == Answer.NOT_SERVING


async def test_a_watch_of_an_unknown_name_says_so(plane: Plane):
    stub: Any = health_pb2_grpc.HealthStub(plane.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"), metadata=EDGE, timeout=60)
    assert (await watch.read()).status == Answer.SERVICE_UNKNOWN
