"""What the control plane wants this pool to hold: watched, and kept on disk for a start without it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
from google.protobuf.message import DecodeError
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_runtime import contract
from headrace_servicekit.peers import Peer

from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Need, Wanted
from headrace_batcher.loading import validation

log = structlog.get_logger()

_DEVICES = {registry_pb2.ServingSettings.DEVICE_CPU: "CPU", registry_pb2.ServingSettings.DEVICE_GPU: "GPU"}
_NEEDS = {
    control_pb2.WantedVersion.NEED_ACTIVE: Need.ACTIVE,
    control_pb2.WantedVersion.NEED_PENDING: Need.PENDING,
    control_pb2.WantedVersion.NEED_LEASED: Need.LEASED,
    control_pb2.WantedVersion.NEED_REVERT: Need.REVERT,
}
_RETRY_S, _MAX_RETRY_S = 0.2, 5.0


def from_proto(wanted: control_pb2.WantedVersion, bounds: Limits) -> Wanted:
    """Return a wanted version as data. bounds: limits of this process, which no version may widen."""
    version = wanted.version
    onnx = [artifact for artifact in version.artifacts if artifact.type == registry_pb2.Artifact.TYPE_ONNX]
    problem = "" if len(onnx) == 1 else f"{len(onnx)} ONNX artifacts, one is needed"
    try:
        tensors = contract.from_proto(version.contract)
    except contract.UnknownDatatype as error:
        tensors, problem = contract.Contract((), ()), str(error)
    return Wanted(
        version.model,
        version.version,
        version.digest,
        onnx[0].sha256 if onnx else "",
        tensors,
        limits(version.serving, bounds),
        _DEVICES.get(version.serving.device, ""),
        problem,
        # What a later control plane may add is taken for needed.
        _NEEDS.get(wanted.need, Need.ACTIVE),
        onnx[0].size_bytes if onnx else 0,
        next((one.sha256 for one in version.artifacts if _is_validation(one)), ""),
        wanted.change,
        version.serving_revision or 1,
    )


def _is_validation(artifact: registry_pb2.Artifact) -> bool:
    json = artifact.type == registry_pb2.Artifact.TYPE_JSON
    return json and artifact.name == validation.ARTIFACT and artifact.size_bytes <= validation.MAX_BYTES


def limits(serving: registry_pb2.ServingSettings, bounds: Limits) -> Limits:
    """Return the batch limits of a version: what its settings say, the bounds' own figures for the rest."""
    max_rows = serving.max_batch_rows or bounds.max_rows
    preferred = tuple(rows for rows in serving.preferred_batch_rows if rows <= max_rows)
    return dataclasses.replace(
        bounds,
        max_rows=max_rows,
        preferred_rows=preferred or tuple(rows for rows in bounds.preferred_rows if rows <= max_rows),
        max_wait_s=serving.max_wait.ToMicroseconds() / 1e6 if serving.HasField("max_wait") else bounds.max_wait_s,
        instances=serving.instances or bounds.instances,
    )


class DemandWatch:
    """Watches the demand on a pool and applies it.

    apply: called with all that is wanted, the most needed first. connected: told whether the control plane answers.
    """

    def __init__(
        self,
        stub: Any,
        pool: str,
        path: Path,
        bounds: Limits,
        apply: Callable[[Sequence[Wanted]], None],
        connected: Callable[[bool, str], None],
    ) -> None:
        self._stub = stub
        self._pool = pool
        self._path = path
        self._bounds = bounds
        self._apply = apply
        self._connected = connected
        self._control = Peer("control", every_s=_RETRY_S, max_backoff_s=_MAX_RETRY_S, call="watch")

    def restore(self) -> bool:
        """Apply the last demand that was kept on disk; return whether there was one."""
        try:
            kept = control_pb2.WatchDemandResponse.FromString(self._path.read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, DecodeError) as error:
            log.warning("kept demand is unreadable", path=str(self._path), cause=str(error))
            return False
        log.info("demand restored from disk", versions=len(kept.versions))
        self._take(kept)
        return True

    async def run(self) -> NoReturn:
        """Watch for ever; what is held stays as it is while the control plane is away."""
        while True:
            reason = await self._control.hold(self._watch, ended="the watch ended")
            self._connected(False, reason)
            await self._control.pause()

    async def _watch(self) -> None:
        async for answer in self._stub.WatchDemand(control_pb2.WatchDemandRequest(pool=self._pool)):
            self._take(answer)
            self._control.well()
            self._connected(True, "")
            try:
                await asyncio.to_thread(_write, self._path, answer.SerializeToString())
            except OSError as error:
                log.warning("demand not kept", path=str(self._path), cause=str(error))
                raise OSError(f"demand cannot be kept on disk: {error.strerror}") from error

    def _take(self, answer: control_pb2.WatchDemandResponse) -> None:
        self._apply([from_proto(wanted, self._bounds) for wanted in answer.versions])


def _write(path: Path, content: bytes) -> None:
    being_written = path.with_suffix(".new")
    with being_written.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    being_written.replace(path)
