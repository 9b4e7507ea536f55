"""What the front door is told: public services only, and the health of all of them."""

import asyncio

import grpc.aio
from google.protobuf import descriptor_pb2
from headrace.access.v1 import access_pb2
from headrace_router.control.edge.health import ASK_TIMEOUT_S, CACHED_S, Installation
from headrace_router.control.edge.reflection import committed_descriptors, public_descriptors, with_inference
from headrace_servicekit.health import NOT_SERVING, SERVING
from headrace_servicekit.testing import FakeClock


def services(files: descriptor_pb2.FileDescriptorSet) -> set[str]:
    return {f"{file.package}.{service.name}" for file in files.file for service in file.service}


def test_every_committed_service_that_is_not_internal_is_shown():
    shown = services(public_descriptors(committed_descriptors()))
    hidden = services(committed_descriptors()) - shown
    assert {"headrace.registry.v1.RegistryService", "headrace.router.v1.RouteService"} <= shown
    # The monitor has one more.
    assert hidden - {"headrace.monitor.v1.EvidenceService"} == {
        "headrace.batcher.v1.BatcherService",
        "headrace.router.v1.ControlService",
        "headrace.router.v1.PoolDemandService",
        "headrace.telemetry.v1.TelemetrySinkService",
    }


def test_the_open_inference_protocol_is_shown_too():
    shown = services(public_descriptors(with_inference(committed_descriptors())))
    assert shown - services(committed_descriptors()) == {"inference.GRPCInferenceService"}


def test_what_is_shown_is_whole_and_comes_after_what_it_imports():
    files = public_descriptors(with_inference(committed_descriptors())).file
    seen: set[str] = set()
    for file in files:
        assert set(file.dependency) <= seen
        seen.add(file.name)
    assert "headrace/router/v1/control.proto" not in seen
    assert "headrace/batcher/v1/batcher.proto" not in seen


def test_internal_methods_of_a_public_service_are_left_out():
    descriptors = committed_descriptors()
    (registry,) = [file for file in descriptors.file if file.name == "headrace/registry/v1/registry.proto"]
    option = registry.service[0].method[0].options.Extensions[access_pb2.access]  # type: ignore[index]
    option.internal = True
    hidden = registry.service[0].method[0].name
    (shown,) = [file for file in public_descriptors(descriptors).file if file.name == registry.name]
    assert hidden not in [method.name for method in shown.service[0].method]
    declared = [method.options.Extensions[access_pb2.access] for method in registry.service[0].method]  # type: ignore[index]
    assert len(shown.service[0].method) == sum(not access.internal for access in declared)


class Peer:
    """A service whose health is asked; `answer` False, True or an exception."""

    def __init__(self, answer: object) -> None:
        self.answer, self.asked = answer, 0

    async def __call__(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        return bool(self.answer)


async def test_all_together_serve_when_each_does_and_each_is_asked_once_a_second():
    clock, registry, router = FakeClock(), Peer(True), Peer(True)
    installation = Installation({"registry": registry, "router": router}, clock)
    answers = await asyncio.gather(*(installation.status(name) for name in ("", "registry", "router", "")))
    assert answers == [SERVING] * 4
    assert (registry.asked, router.asked) == (1, 1)
    router.answer = False
    assert await installation.status("") == SERVING
    await clock.advance(CACHED_S)
    assert await installation.status("") == NOT_SERVING
    assert await installation.status("registry") == SERVING
    assert await installation.status("batcher") is None


async def test_a_service_that_fails_or_is_silent_does_not_serve():
    gone = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
    installation = Installation({"gone": Peer(gone), "silent": Peer(None)}, FakeClock())
    assert await installation.status("gone") == NOT_SERVING
    started = asyncio.get_running_loop().time()
    assert await installation.status("silent") == NOT_SERVING
    assert asyncio.get_running_loop().time() - started < 4 * ASK_TIMEOUT_S
