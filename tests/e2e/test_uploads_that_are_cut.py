"""An upload that ends in the middle leaves nothing: no file, no record, no version, and no upload in progress."""

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.testing import eventually
from headrace_stack.components import s3
from headrace_stack.components.s3 import request as s3_request

from tests.kit.clients.methods import path_of
from tests.kit.front_door.edge import get, metadata
from tests.kit.models import onnx_models
from tests.kit.rows import each
from tests.kit.stack.served_models import GOOD_METRICS, Served, assert_refused
from tests.kit.wire.forwarder import Forwarder

MODEL = "cut-uploads"
PIECE = 64 * 1024
ONNX = registry_pb2.Artifact.TYPE_ONNX
Upload = registry_pb2.UploadArtifactRequest


def model_file(seed: str) -> bytes:
    """A model file of some pieces that no other test uploads."""
    return onnx_models.linear(features=4096, outputs=32, seed=zlib.crc32(seed.encode())).content


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def messages(content: bytes, *, announced: bool) -> Iterator[Upload]:
    """The messages of an upload; `announced` says whether its header names digest and size."""
    told = {"sha256": digest_of(content), "size_bytes": len(content)} if announced else {}
    yield Upload(header=Upload.Header(type=ONNX, **told))  # type: ignore[arg-type]
    for at in range(0, len(content), PIECE):
        yield Upload(chunk=content[at : at + PIECE])


class HalfAnUpload:
    """Sends the first half of a file and then nothing, neither more nor the end."""

    def __init__(self, content: bytes, *, announced: bool) -> None:
        self._messages = list(messages(content, announced=announced))
        self.sent = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Upload]:
        for message in self._messages[: len(self._messages) // 2]:
            yield message
        self.sent.set()
        await asyncio.Event().wait()


def begin(channel: grpc.aio.Channel, served: Served, upload: HalfAnUpload, timeout: float = 30) -> Any:
    stub: Any = registry_pb2_grpc.RegistryServiceStub(channel)
    return stub.UploadArtifact(aiter(upload), metadata=metadata(served.stack.token()), timeout=timeout)


async def by_cancelling(served: Served, upload: HalfAnUpload) -> None:
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        call = begin(channel, served, upload)
        await asyncio.wait_for(upload.sent.wait(), 10)
        await eventually(lambda: in_progress(served) >= 1)
        call.cancel()


async def by_a_deadline(served: Served, upload: HalfAnUpload) -> None:
    async with grpc.aio.insecure_channel(served.stack.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await begin(channel, served, upload, timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def by_losing_the_connection(served: Served, upload: HalfAnUpload) -> None:
    async with (
        Forwarder.before(served.stack.url) as forwarder,
        grpc.aio.insecure_channel(f"127.0.0.1:{forwarder.port}", [("grpc.enable_retries", 0)]) as channel,
    ):
        call = begin(channel, served, upload)
        await asyncio.wait_for(upload.sent.wait(), 10)
        await eventually(lambda: in_progress(served) >= 1)
        forwarder.cut()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


WAYS = (by_cancelling, by_a_deadline, by_losing_the_connection)


@each("cut", WAYS)
@each("announced", [True, False])
async def test_an_upload_that_is_cut_leaves_nothing(
    served: Served, cut: Callable[[Served, HalfAnUpload], Awaitable[None]], announced: bool
):
    content = model_file(f"{cut.__name__} {announced}")
    await cut(served, HalfAnUpload(content, announced=announced))
    await eventually(lambda: in_progress(served) == 0, within=10)
    assert await stored(served, content) == 404
    version = registry_pb2.ModelVersion(
        name=f"models/{MODEL}/versions/v1",
        artifacts=[registry_pb2.Artifact(name="model.onnx", type=ONNX, sha256=digest_of(content))],
    )
    create = registry_pb2.CreateModelVersionRequest(version=version)
    refusal = served.refused(path_of("CreateModelVersion"), create)
    assert_refused(refusal, "FAILED_PRECONDITION", "ARTIFACT_NOT_UPLOADED", named=digest_of(content)[:8])
    get_model = registry_pb2.GetModelRequest(name=f"models/{MODEL}")
    assert_refused(served.refused(path_of("GetModel"), get_model), "NOT_FOUND", "MODEL_NOT_FOUND", named=MODEL)
    served.assert_alive()


async def test_the_same_upload_succeeds_after_it_was_cut(served: Served, tmp_path: Path):
    content = model_file("again")
    await by_cancelling(served, HalfAnUpload(content, announced=True))
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    version = served.client.versions.register(f"{MODEL}-again", "v1", path, metrics=GOOD_METRICS)
    assert version.artifacts[0].sha256 == digest_of(content)
    assert await stored(served, content) == 200


def in_progress(served: Served) -> int:
    """Return how many uploads the registry is receiving."""
    text = get(f"http://{served.stack.settings.ports.registry_metrics.address}/metrics")
    found = re.search(r"^registry_uploads_active (\S+)", text, re.MULTILINE)
    assert found is not None
    return int(float(found.group(1)))


async def stored(served: Served, content: bytes) -> int:
    """Return the HTTP status of the object that a file is kept in, whose key everybody derives from its digest."""
    settings = served.stack.settings
    path = f"/{s3.BUCKET}/blobs/sha256/{digest_of(content)}"
    return await s3_request("HEAD", settings.ports.s3, path, keys=s3.keys(settings))
