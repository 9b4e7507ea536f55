"""Uploads by URL on a real registry: begun, sent to S3 past it, completed, registered."""

import hashlib
import io

import aiohttp
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry, caller, real_registry, version_message


@pytest.fixture
async def public(postgres_url, s3, tmp_path):
    async with real_registry(postgres_url, s3, tmp_path, s3_public_endpoint=s3.endpoint) as registry:
        yield registry


async def begin(registry: Registry, content: bytes, *, client: str = "ann") -> registry_pb2.BeginUploadResponse:
    request = registry_pb2.BeginUploadRequest(
        type=registry_pb2.Artifact.TYPE_ONNX, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    return await registry.stub.BeginUpload(request, timeout=20, metadata=caller(client))


def complete(registry: Registry, name: str, *, client: str = "ann"):
    request = registry_pb2.CompleteUploadRequest(name=name)
    return registry.stub.CompleteUpload(request, timeout=60, metadata=caller(client))


async def send(begun: registry_pb2.BeginUploadResponse, content: bytes) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.put(begun.url, headers=dict(begun.headers), data=io.BytesIO(content)) as answer,
    ):
        return answer.status


async def test_a_file_sent_past_the_registry_becomes_an_artifact(public):
    file = onnx_models.linear(4, 3)
    begun = await begin(public, file.content)
    assert await send(begun, file.content) == 200
    done = await complete(public, begun.name)
    assert (done.sha256, done.size_bytes) == (hashlib.sha256(file.content).hexdigest(), len(file.content))
    assert await complete(public, begun.name) == done
    draft = version_message("digits", "v1", done.sha256, file)
    await public.stub.CreateModelVersion(registry_pb2.CreateModelVersionRequest(version=draft), timeout=20)
    assert (await begin(public, file.content)).name == ""


async def test_what_is_no_model_is_refused_as_in_any_upload(public):
    begun = await begin(public, b"no model at all")
    assert await send(begun, b"no model at all") == 200
    error = await refused(complete(public, begun.name))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "ARTIFACT_TYPE_REFUSED")


async def test_an_upload_belongs_to_who_began_it(public):
    content = onnx_models.linear(4, 3).content
    begun = await begin(public, content)
    await send(begun, content)
    assert await reason_of(complete(public, begun.name, client="bob")) == "UPLOAD_NOT_FOUND"
    for name in ("uploads/x", "models/digits", "", f"uploads/{'0' * 32}"):
        assert (await refused(complete(public, name))).code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)


async def test_without_a_public_s3_the_caller_is_told_the_other_way(real):
    error = await refused(begin(real, b"x"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "UPLOAD_URLS_NOT_OFFERED")
