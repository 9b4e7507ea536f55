"""`python -m headrace_registry` as a process, over real PostgreSQL and S3: start, uploads, kill, stop, bad settings."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_registry.storage.postgres import PostgresStore
from headrace_servicekit.postgres.connections import Address, Connections
from headrace_servicekit.testing import free_port

from tests.kit.clients.commands import PYTHON, run
from tests.kit.models import onnx_models
from tests.kit.registry.process import process
from tests.kit.registry.service import upload_messages, version_message


async def register_and_promote(stub: Any) -> registry_pb2.Model:
    file = onnx_models.linear()
    uploaded = await stub.UploadArtifact(upload_messages(file.content), timeout=30)
    version = version_message("digits", "v1", uploaded.sha256, file)
    await stub.CreateModelVersion(registry_pb2.CreateModelVersionRequest(version=version), timeout=20)
    promote = registry_pb2.PromoteModelVersionRequest(
        name=version.name, target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION
    )
    return (await stub.PromoteModelVersion(promote, timeout=20)).model


@pytest.mark.faults
async def test_what_was_acknowledged_survives_kill_9_of_the_service_and_sigterm_ends_it_well(rig):
    port = free_port()
    async with process(rig, port) as (killed, stub):
        promoted = await register_and_promote(stub)
        killed.kill()
    async with process(rig, port) as (stopped, stub):
        answer = await stub.GetModel(registry_pb2.GetModelRequest(name="models/digits"), timeout=20)
        assert answer.model == promoted
        stopped.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await stopped.wait() == 0


async def test_a_database_of_other_code_ends_the_process_with_a_message(rig):
    async with Connections(Address(rig.environment["REGISTRY_DATABASE_URL"]), owner="registry", size=1) as connections:
        await PostgresStore(connections).migrate()
        async with connections.transaction() as connection:
            await connection.execute("update migrations set checksum = 'other'")
    done = await run(*PYTHON, "headrace_registry", environment=rig.environment)
    assert done.exit_code == 1, done.stderr
    assert "belongs to other code" in done.stderr


async def half_an_upload(sent: asyncio.Event, content: bytes):
    """Send half of a file, then nothing more."""
    header = registry_pb2.UploadArtifactRequest.Header(type=registry_pb2.Artifact.TYPE_ONNX, size_bytes=len(content))
    yield registry_pb2.UploadArtifactRequest(header=header)
    yield registry_pb2.UploadArtifactRequest(chunk=content[: len(content) // 2])
    sent.set()
    await asyncio.Event().wait()


@pytest.mark.faults
async def test_an_upload_that_is_cut_leaves_nothing_by_the_caller_or_by_kill_9(rig):
    content = onnx_models.linear(200, 200).content
    async with process(rig, free_port()) as (killed, stub):
        sent = asyncio.Event()
        call = stub.UploadArtifact(half_an_upload(sent, content), timeout=60)
        await sent.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        sent = asyncio.Event()
        call = stub.UploadArtifact(half_an_upload(sent, content), timeout=60)
        await sent.wait()
        killed.kill()
        await asyncio.gather(call, return_exceptions=True)
    assert list(rig.folder.iterdir()) == []
    assert await rig.keys() == []


@pytest.mark.long
async def test_a_large_file_is_not_held_in_memory(rig):
    size = 96 * 1024 * 1024
    async with process(rig, free_port()) as (started, stub):
        await register_and_promote(stub)
        before = peak_rss_bytes(started.pid)

        async def messages():
            header = registry_pb2.UploadArtifactRequest.Header(type=registry_pb2.Artifact.TYPE_PARQUET)
            yield registry_pb2.UploadArtifactRequest(header=header)
            chunk = b"PAR1" + bytes(1024 * 1024 - 4)
            for _ in range(size // len(chunk) - 1):
                yield registry_pb2.UploadArtifactRequest(chunk=chunk)
            yield registry_pb2.UploadArtifactRequest(chunk=bytes(1024 * 1024 - 8) + b"\x04\x00\x00\x00PAR1")

        answer = await stub.UploadArtifact(messages(), timeout=100)
        assert answer.size_bytes == size
        # One part of 8 MiB and its copies on the way to S3, far from the whole file.
        assert peak_rss_bytes(started.pid) - before < 64 * 1024 * 1024
    assert f"blobs/sha256/{answer.sha256}" in await rig.keys()


def peak_rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        pytest.param({"REGISTRY_DATABASE_URL": ""}, 2, "REGISTRY_DATABASE_URL", id="missing"),
        pytest.param({"REGISTRY_S3_BUKET": "x"}, 2, "REGISTRY_S3_BUCKET", id="misspelt"),
        pytest.param({"REGISTRY_MAX_UPLOADS": "many"}, 2, "REGISTRY_MAX_UPLOADS", id="not a number"),
        pytest.param({"REGISTRY_S3_CREDENTIALS_FILE": "/nonexistent"}, 1, "REGISTRY_S3_CREDENTIALS_FILE", id="no keys"),
    ],
)
async def test_bad_settings_end_the_process_with_a_message_and_no_traceback(rig, changes, code, told):
    done = await run(*PYTHON, "headrace_registry", environment={**rig.environment, **changes})
    assert done.exit_code == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
