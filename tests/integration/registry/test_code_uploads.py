"""Code that does not fit into one message."""

import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.integration.registry.test_formats import PT2, create
from tests.kit.clients.refusals import refused
from tests.kit.registry.service import Registry, memory_registry

Artifact = registry_pb2.Artifact
Header = registry_pb2.UploadArtifactRequest.Header
MIB = 1024 * 1024


async def streamed(registry: Registry, content: bytes, kind: Any = PT2, *, say: int | None = None) -> str:
    async def messages() -> AsyncIterator[registry_pb2.StreamCodeRequest]:
        size = len(content) if say is None else say
        yield registry_pb2.StreamCodeRequest(header=Header(type=kind, size_bytes=size))
        for at in range(0, len(content), MIB):
            yield registry_pb2.StreamCodeRequest(chunk=content[at : at + MIB])

    return (await registry.stub.StreamCode(messages(), timeout=60)).sha256


def package(size: int) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        archive.writestr("m/data/aotinductor/model/a.so", bytes(size))
    return made.getvalue()


async def test_a_package_larger_than_a_message_is_streamed_and_registered():
    async with memory_registry(allow_code=True) as registry:
        model = Artifact(name="model.pt2", type=PT2, sha256=await streamed(registry, package(20 * MIB)))
        made = await create(registry, registry_pb2.FORMAT_PT2, model)
        assert made.artifacts[0].size_bytes > 20 * MIB


async def test_streamed_code_is_bounded_checked_and_asks_for_the_same_permission():
    async with memory_registry(allow_code=True, max_artifact_bytes=2 * MIB) as registry:
        error = await refused(streamed(registry, package(3 * MIB)))
        assert (error.code, error.reason) == (Code.OUT_OF_RANGE, "ARTIFACT_TOO_LARGE")
        assert (await refused(streamed(registry, package(3 * MIB), say=0))).reason == "ARTIFACT_TOO_LARGE"
        assert (await refused(streamed(registry, b"no package"))).reason == "ARTIFACT_TYPE_REFUSED"
        assert (await refused(streamed(registry, b"{}", Artifact.TYPE_JSON))).reason == "ARTIFACT_TYPE_REFUSED"
    async with memory_registry() as registry:
        assert (await refused(streamed(registry, package(1)))).reason == "CODE_NOT_ALLOWED"
