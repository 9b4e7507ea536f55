"""Reflection, health, limits, deadlines and ports of a real server."""

import asyncio
import socket
import statistics
import time
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import CLIENT_HEADER
from headrace_servicekit.metrics import RpcMetrics
from headrace_servicekit.ports import PortUnavailable
from headrace_servicekit.server import Server
from headrace_servicekit.testing import eventually, serving
from prometheus_client import CollectorRegistry

from tests.kit.servicekit.toy import SERVICE, Note, echoing, holding
from tests.kit.servicekit.toy_server import toy

pytestmark = pytest.mark.usefixtures("each_server")

VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


async def _ask(target: str, version: str, **question: Any) -> Any:
    async with grpc.aio.insecure_channel(target) as channel:
        method = channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = [a async for a in method(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10)]
    return answers[0]


def _names(answer: Any) -> list[str]:
    return [service.name for service in answer.list_services_response.service]


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_lists_and_describes_every_service_that_it_lists(version):
    async with toy(echoing()) as running:
        target = running.server.address
        names = _names(await _ask(target, version, list_services=""))
        described = [await _ask(target, version, file_containing_symbol=name) for name in names]
    assert names == sorted(["grpc.health.v1.Health", *(f"{name}.ServerReflection" for name in VERSIONS), SERVICE])
    for name, answer in zip(names, described, strict=True):
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(f)
            for f in answer.file_descriptor_response.file_descriptor_proto
        ]
        assert name in {f"{file.package}.{service.name}" for file in files for service in file.service}


async def test_reflection_of_a_given_descriptor_set_shows_all_of_it_also_what_is_served_elsewhere():
    given = descriptor_pb2.FileDescriptorSet()
    file = given.file.add(name="other.proto", package="other.v1", syntax="proto3")
    file.message_type.add(name="Empty")
    method = file.service.add(name="Elsewhere").method.add(name="Do")
    method.input_type = method.output_type = ".other.v1.Empty"
    async with toy(echoing(), descriptors=given) as running:
        names = _names(await _ask(running.server.address, VERSIONS[0], list_services=""))
        answer = await _ask(running.server.address, VERSIONS[0], file_containing_symbol="other.v1.Elsewhere")
    assert "other.v1.Elsewhere" in names
    assert SERVICE not in names
    assert len(answer.file_descriptor_response.file_descriptor_proto) == 1


async def test_reflection_says_when_it_does_not_know():
    async with toy(echoing()) as running:
        answer = await _ask(running.server.address, VERSIONS[0], file_containing_symbol="nobody.v1.Nobody")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_health_answers_for_all_for_each_component_and_for_each_service():
    async with toy(echoing()) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        running.server.health.add("postgres")
        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def status(name: str) -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)).status

        before = [await status(name) for name in ("", "postgres", SERVICE)]
        running.server.health.set("postgres", True)
        after = [await status(name) for name in ("", "postgres", SERVICE)]
    assert before == [2, 2, 2]
    assert after == [1, 1, 1]


async def test_the_port_is_reported_and_cannot_be_taken_twice():
    async with toy(echoing()) as running:
        assert running.server.address == f"127.0.0.1:{running.server.port}"
        with pytest.raises(PortUnavailable, match=rf"127\.0\.0\.1:{running.server.port} \(the port is taken\).*X_PORT"):
            Server("127.0.0.1", running.server.port, port_setting="X_PORT")


async def test_an_address_that_is_not_ours_says_so():
    with pytest.raises(PortUnavailable, match="cannot assign requested address"):
        Server("192.0.2.1", 50999, port_setting="X_PORT")


async def test_an_ipv6_address_can_be_listened_on():
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    async with toy(echoing(), host="::1") as running:
        assert running.server.address == f"[::1]:{running.server.port}"
        assert await running.stub.call("Answer", Note())


@pytest.mark.parametrize("size", [1024 * 1024 - 100, 1024 * 1024 + 100])
async def test_the_message_limit_holds(size):
    async with toy(echoing(), max_message_bytes=1024 * 1024) as running:
        note = Note(text="x" * size)
        if size < 1024 * 1024:
            assert await running.stub.call("Answer", note)
        else:
            assert (await running.failure("Answer", note)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_calls_above_the_limit_are_refused_at_once():
    release, answering = holding()
    async with toy(answering, max_concurrent_rpcs=2) as running:
        held = [asyncio.create_task(running.stub.call("Answer", Note())) for _ in range(2)]
        await eventually(lambda: running.active() == 2)
        assert (await running.failure("Answer")).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        release.set()
        await asyncio.gather(*held)


async def test_one_client_has_half_of_the_calls_and_another_is_served_meanwhile():
    release, answering = holding()
    async with toy(answering, max_concurrent_rpcs=8) as running:
        greedy, modest = ((("x-headrace-client", name),) for name in ("greedy", "modest"))
        held = [asyncio.create_task(running.stub.call("Answer", Note(), metadata=greedy)) for _ in range(4)]
        await eventually(lambda: running.active() == 4)
        error = from_rpc_error(await running.failure("Answer", metadata=greedy))
        assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS_OF_CLIENT")
        assert error.retry_after_s
        held.append(asyncio.create_task(running.stub.call("Answer", Note(), metadata=modest)))
        await eventually(lambda: running.active() == 5)
        release.set()
        await asyncio.gather(*held)


async def test_handlers_that_find_their_methods_themselves_are_wrapped_too():
    class Opaque(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            if handler_call_details.method != "/opaque.v1.Opaque/Do":
                return None

            async def do(request: bytes, _context: Any) -> bytes:
                raise ValueError("hunter2")

            return grpc.unary_unary_rpc_method_handler(do)

    async with (
        serving(lambda server: server.add_generic_rpc_handlers((Opaque(),))) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/opaque.v1.Opaque/Do")(b"x", timeout=10)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INTERNAL, "internal error")


async def test_a_service_answers_by_a_name_that_it_had_before_and_asks_of_callers_what_it_did():
    async with toy(echoing()) as running, grpc.aio.insecure_channel(running.server.address) as channel:
        running.server.also_serve_as("headrace.toy.v0.Former", SERVICE)
        note = Note(text="x").SerializeToString()
        assert await channel.unary_unary("/headrace.toy.v0.Former/Answer")(note, timeout=10) == note
        within = channel.unary_unary("/headrace.toy.v0.Former/Within")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await within(note, timeout=10, metadata=((CLIENT_HEADER, "ann"),))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_bare_handlers_are_served_as_they_are():
    async def do(request: bytes, _context: Any) -> bytes:
        return request

    def register(server: Server) -> None:
        server.add_bare_method_handlers("opaque.v1.Opaque", {"Do": grpc.unary_unary_rpc_method_handler(do)})

    async with serving(register) as server, grpc.aio.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/opaque.v1.Opaque/Do")(b"x", timeout=10)
        assert await call == b"x"
        assert "x-request-id" not in [key for key, _ in await call.trailing_metadata()]


async def test_a_call_does_not_wait_until_the_caller_has_acknowledged_the_answer_before():
    took = list[float]()
    async with toy(echoing()) as running:
        for _ in range(21):
            began = time.perf_counter()
            await running.stub.call("Answer", Note(text="x"))
            took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.03  # TCP acknowledges after 40 ms when nothing is sent back


async def test_calls_in_flight_finish_before_the_server_has_stopped():
    release, answering = holding()
    async with toy(answering) as running:
        call = asyncio.create_task(running.stub.call("Answer", Note(text="kept")))
        await eventually(lambda: running.active() == 1)
        stopping = asyncio.create_task(running.server.stop(20))
        await asyncio.sleep(0)
        release.set()
        assert [answer.text for answer in await call] == ["kept"]
        await asyncio.wait_for(stopping, 10)


async def test_invented_method_names_do_not_grow_the_metrics_without_end():
    class Anything(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            async def do(request: bytes, _context: Any) -> bytes:
                return request

            invented = str(handler_call_details.method).startswith("/invented.v1.")
            return grpc.unary_unary_rpc_method_handler(do) if invented else None

    registry = CollectorRegistry()
    async with (
        serving(lambda server: server.add_generic_rpc_handlers((Anything(),)), metrics=RpcMetrics(registry)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        for number in range(1100):
            assert await channel.unary_unary(f"/invented.v1.S/M{number}")(b"x", timeout=10) == b"x"
    (histogram,) = [metric for metric in registry.collect() if metric.name == "rpc_server_call_duration_seconds"]
    methods = {sample.labels["rpc_method"] for sample in histogram.samples}
    assert 900 < len(methods) <= 1001
    assert "/other/Other" in methods
