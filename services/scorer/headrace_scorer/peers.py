"""The registry, as a job needs it."""

from __future__ import annotations

import base64
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

import grpc.aio
from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2, registry_pb2_grpc
from headrace_runtime.formats import SIGNATURE_FILE
from headrace_runtime.signatures.bundle import MAX_BYTES
from headrace_runtime.signatures.policy import Use
from headrace_runtime.signatures.policy_file import PolicyFile
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import NotFound, PreconditionFailed

from headrace_scorer.decisions.jobs import Job, Version
from headrace_scorer.decisions.specs import Engine

T = TypeVar("T")

CALL_S = 5.0
_FILE = "model.onnx"
# Renewed long before: version_holds.py.
HOLD = timedelta(days=2)
# Before its job is stored: of one that is not, the hold ends by itself.
FIRST_HOLD = timedelta(minutes=10)


class Registry:
    """The registry. Every method raises the typed error that it answers. policy: whose signatures count, None where
    they are not checked."""

    def __init__(self, channel: Any, policy: PolicyFile | None = None) -> None:
        self._stub, self._policy = registry_pb2_grpc.RegistryServiceStub(channel), policy

    async def resolved(self, model: str, version: str, alias: str, engine: Engine = Engine.WORKERS) -> Version:
        """Return the version that is named, by its id, by an alias, or as the one in production.

        Raises NotFound, reason ALIAS_NOT_FOUND or NO_PRODUCTION_VERSION; PreconditionFailed, reason VERSION_COLLECTED,
        FORMAT_NOT_SCORED, or of its signature (NOT_SIGNED, SIGNATURE_INVALID, SIGNER_NOT_TRUSTED, SIGNER_REVOKED).
        """
        if not version:
            version = await self._named(model, alias)
        request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
        found = (await _answer(self._stub.GetModelVersion(request, timeout=CALL_S))).version
        if found.HasField("collect_time"):
            raise PreconditionFailed(
                f"the files of version {version} of '{model}' were removed: name another version",
                reason="VERSION_COLLECTED",
            )
        if found.contract.decoupled:
            raise PreconditionFailed(
                f"version {version} of '{model}' answers in parts, any number for a row, and offline scoring keeps one "
                "answer a row: name another version",
                reason="FORMAT_NOT_SCORED",
            )
        await self._check_signed(model, found)
        file = next((one for one in found.artifacts if one.name == _FILE), None)
        stepwise = found.HasField("pipeline") and not found.pipeline.fuse
        contract = base64.b64encode(found.contract.SerializeToString(deterministic=True)).decode()
        if engine is Engine.POOL and not stepwise:
            return Version(version, found.digest, "", 0, contract)
        if file is None or stepwise:
            raise PreconditionFailed(
                f"version {version} of '{model}' has no {_FILE} of its own, which offline scoring runs: register the "
                "model as ONNX, a pipeline with `fuse: true`, score other formats with the engine `pool`, or name "
                "another version",
                reason="FORMAT_NOT_SCORED",
            )
        return Version(version, found.digest, file.sha256, file.size_bytes, contract)

    async def check_signed(self, job: Job) -> None:
        """Raise PreconditionFailed for a job whose version may not be loaded by now, as `resolved`."""
        if self._policy is not None:
            name = f"models/{job.model}/versions/{job.version.id}"
            request = registry_pb2.GetModelVersionRequest(name=name)
            found = (await _answer(self._stub.GetModelVersion(request, timeout=CALL_S))).version
            await self._check_signed(job.model, found, job.version.sha256)

    async def _check_signed(self, model: str, found: registry_pb2.ModelVersion, sha256: str = "") -> None:
        """sha256: of the model that will be loaded; empty means what the registry says."""
        if self._policy is None:
            return
        files = {one.name: one.sha256 for one in found.artifacts}
        content = await self._downloaded(found.name, SIGNATURE_FILE) if files.pop(SIGNATURE_FILE, "") else None
        if sha256:
            files[_FILE] = sha256
        self._policy.policy.check(f"{model}@{found.name.rpartition('/')[2]}", files, content, Use.SERVING)

    async def _downloaded(self, version: str, name: str) -> bytes:
        """Return a small file of a version; what is longer than any signature is cut."""
        request, content = registry_pb2.DownloadArtifactRequest(name=version, artifact=name), b""
        call = self._stub.DownloadArtifact(request, timeout=CALL_S)
        try:
            async for piece in call:
                content += piece.chunk
                if len(content) > MAX_BYTES:
                    call.cancel()
                    break
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        return content

    async def hold(self, job: Job, ttl: timedelta) -> None:
        """Keep the version of a job from being removed for a time."""
        request = registry_pb2.HoldVersionRequest(
            name=f"models/{job.model}/versions/{job.version.id}",
            holder=job.holder,
            ttl=_duration(ttl),
            reason=f"scores for {job.client or 'an unknown client'}",
        )
        await _answer(self._stub.HoldVersion(request, timeout=CALL_S))

    async def release(self, job: Job) -> None:
        """End that."""
        request = registry_pb2.ReleaseHoldRequest(
            name=f"models/{job.model}/versions/{job.version.id}", holder=job.holder
        )
        await _answer(self._stub.ReleaseHold(request, timeout=CALL_S))

    async def _named(self, model: str, alias: str) -> str:
        request = registry_pb2.GetModelRequest(name=f"models/{model}")
        found = (await _answer(self._stub.GetModel(request, timeout=CALL_S))).model
        if not alias:
            if not found.production_version:
                raise NotFound(f"'{model}' has no version in production: name one", reason="NO_PRODUCTION_VERSION")
            return found.production_version
        if alias not in found.aliases:
            raise NotFound(f"'{model}' has no alias '{alias}'", reason="ALIAS_NOT_FOUND")
        return found.aliases[alias]


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None


def _duration(value: timedelta) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromTimedelta(value)
    return duration
