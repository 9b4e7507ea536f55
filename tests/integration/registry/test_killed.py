"""A registry that is killed and frozen under many writers: what was acknowledged is there, by their own logs."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_servicekit.testing import eventually, free_port, patience

from tests.kit.models import onnx_models
from tests.kit.registry.process import PARTS, Rig, process
from tests.kit.registry.service import upload_messages, version_message
from tests.kit.stack.service_process import is_serving

pytestmark = pytest.mark.faults

# Not "it failed": nobody can say whether it happened.
UNSURE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass
class Log:
    """What writers were acknowledged. stopped: whether they are to end."""

    aliases: dict[str, str] = field(default_factory=dict)
    measured: list[float] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    stopped: bool = False


Write = Callable[[Any, Log, int], Coroutine[Any, Any, None]]


async def point_alias(stub: Any, log: Log, number: int) -> None:
    name, version = f"a{number % 7}", f"v{number % 2}"
    request = registry_pb2.SetAliasRequest(
        name=f"models/digits/aliases/{name}", version=version, request_id=f"alias-{number}"
    )
    await stub.SetAlias(request, timeout=2)
    log.aliases[name] = version


async def measure(stub: Any, log: Log, number: int) -> None:
    found = await stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name="models/digits/versions/v0"), timeout=2)
    request = registry_pb2.RecordMeasuredMetricsRequest(
        name=found.version.name,
        digest=found.version.digest,
        metrics=[registry_pb2.Metric(name="p99", value=number)],
        source_process="batcher/a",
    )
    await stub.RecordMeasuredMetrics(request, timeout=2)
    log.measured.append(number)


async def hold(stub: Any, log: Log, number: int) -> None:
    request = registry_pb2.HoldVersionRequest(
        name="models/digits/versions/v0", holder=f"audit/{number % 50}", ttl=duration_pb2.Duration(seconds=3600)
    )
    await stub.HoldVersion(request, timeout=2)
    log.held.add(request.holder)


async def keep_writing(stub: Any, log: Log, write: Write) -> None:
    """Write one thing after the other, each until it is acknowledged."""
    number = 0
    while not log.stopped:
        try:
            await write(stub, log, number)
        except grpc.aio.AioRpcError as error:
            if error.code() not in UNSURE:
                raise
            await asyncio.sleep(0.02)
            continue
        number += 1


async def prepare(stub: Any) -> None:
    file = onnx_models.linear()
    uploaded = await stub.UploadArtifact(upload_messages(file.content), timeout=30)
    for version in ("v0", "v1"):
        draft = version_message("digits", version, uploaded.sha256, file)
        await stub.CreateModelVersion(registry_pb2.CreateModelVersionRequest(version=draft), timeout=20)


async def test_what_was_acknowledged_is_there_after_kills_and_freezes(rig: Rig):
    port, log = free_port(), Log()
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        writers: list[asyncio.Task[None]] = []
        for round_ in range(3):
            async with process(rig, port) as (registry, own_stub):
                if not writers:
                    await prepare(own_stub)
                    writers = [asyncio.create_task(keep_writing(stub, log, w)) for w in (point_alias, measure, hold)]
                await _acknowledged_more(log)
                registry.send_signal(signal.SIGSTOP)
                began = time.monotonic()
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.ListModels(registry_pb2.ListModelsRequest(), timeout=1)
                assert caught.value.code() in UNSURE
                assert time.monotonic() - began < patience(3)
                registry.send_signal(signal.SIGCONT)
                await eventually(lambda: is_serving(channel, *PARTS), within=20, every=0.1)
                await _acknowledged_more(log)
                registry.kill()
                assert not [writer for writer in writers if writer.done()], round_
        async with process(rig, port) as (_, own_stub):
            await _acknowledged_more(log)
            log.stopped = True
            await asyncio.gather(*writers)
            model = (await own_stub.GetModel(registry_pb2.GetModelRequest(name="models/digits"), timeout=20)).model
            assert dict(model.aliases) == log.aliases
            listed = await own_stub.ListHolds(
                registry_pb2.ListHoldsRequest(parent="models/digits", page_size=1000), timeout=20
            )
            assert {one.holder for one in listed.holds} == log.held
            request = registry_pb2.ListMeasurementsRequest(parent="models/digits/versions/v0", page_size=1000)
            recorded = [one.metric.value for one in (await own_stub.ListMeasurements(request, timeout=20)).measurements]
            # Newest first, each once although some were sent again, nothing that was acknowledged is missing.
            assert recorded == sorted(set(recorded), reverse=True)
            assert recorded == log.measured[::-1][: len(recorded)]
            assert len(recorded) in (len(log.measured), 1000)


async def _acknowledged_more(log: Log) -> None:
    """Return when each writer was acknowledged something since now."""
    before = len(log.measured)
    await eventually(lambda: len(log.measured) >= before + 5, within=30)
