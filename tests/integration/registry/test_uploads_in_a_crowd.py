"""Uploads of clients that send nothing, over the wire: others find a place, and silence is not paid for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_registry.artifacts import pace
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import refused
from tests.kit.registry.service import Registry, caller, memory_registry, upload_messages

JSON = registry_pb2.Artifact.TYPE_JSON
HEADER = registry_pb2.UploadArtifactRequest(header=registry_pb2.UploadArtifactRequest.Header(type=JSON))


def silent(registry: Registry, client: str) -> Any:
    """Begin an upload that sends its header and then nothing."""

    async def header() -> AsyncIterator[registry_pb2.UploadArtifactRequest]:
        yield HEADER
        await asyncio.Event().wait()

    return registry.stub.UploadArtifact(header(), timeout=60, metadata=caller(client))


async def upload(registry: Registry, client: str) -> str:
    messages = upload_messages(b'{"labels": []}', JSON)
    answer = await registry.stub.UploadArtifact(messages, timeout=20, metadata=caller(client))
    return answer.sha256


async def test_eight_silent_uploads_of_one_client_do_not_keep_another_from_its_own():
    async with memory_registry() as registry:
        calls = [silent(registry, "greedy") for _ in range(8)]
        await eventually(lambda: sum(call.done() for call in calls) == 4)
        error = await refused(next(call for call in calls if call.done()))
        assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS_OF_CLIENT")
        assert error.retry_after_s == 2.0
        assert error.metadata["pool"] == "uploads"
        assert await upload(registry, "modest")
        for call in calls:
            call.cancel()


async def test_silent_uploads_of_many_clients_make_room_for_who_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pace, "SILENT_S", 0.1)
    async with memory_registry(max_uploads=2) as registry:
        calls = [silent(registry, client) for client in ("ann", "bob")]
        await registry_is_full(registry)

        async def comes_through() -> bool:
            try:
                return bool(await upload(registry, "late"))
            except Exception:
                return False

        await eventually(comes_through, within=10)
        ended = [call for call in calls if call.done()]
        assert len(ended) == 1
        assert (await refused(ended[0])).reason == "UPLOAD_TOO_SLOW"
        for call in calls:
            call.cancel()


async def registry_is_full(registry: Registry) -> None:
    # Asked before somebody else comes: who came before the two would have a place, and keep it.
    await eventually(lambda: registry.runtime.metrics.get_sample_value("registry_uploads_active") == 2)
    assert (await refused(silent(registry, "late"))).reason == "TOO_MANY_UPLOADS"
