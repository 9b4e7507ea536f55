"""What the control plane wants this pool to hold: watched, and kept on disk for a start without it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog
from google.protobuf.message import DecodeError
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_runtime import contract, expected_outputs
from headrace_runtime.formats import MODEL_FILES, SIGNATURE_FILE, Format, from_number, runs
from headrace_servicekit.peers import Peer

from headrace_batcher.decisions.padded_sizes import Padding
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.version_state import Need, Wanted

log = structlog.get_logger()

_DEVICES = {registry_pb2.ServingSettings.DEVICE_CPU: "CPU", registry_pb2.ServingSettings.DEVICE_GPU: "GPU"}
_NEEDS = {
    control_pb2.WantedVersion.NEED_ACTIVE: Need.ACTIVE,
    control_pb2.WantedVersion.NEED_PENDING: Need.PENDING,
    control_pb2.WantedVersion.NEED_LEASED: Need.LEASED,
    control_pb2.WantedVersion.NEED_REVERT: Need.REVERT,
}
_RETRY_S, _MAX_RETRY_S = 0.2, 5.0


ONNX_ALONE = frozenset({Format.ONNX})


def from_proto(wanted: control_pb2.WantedVersion, bounds: Limits, offered: Collection[Format] = ONNX_ALONE) -> Wanted:
    """Return a wanted version as data. bounds: limits of this process, which no version may widen. offered: formats
    that this process runs."""
    version = wanted.version
    kept_as, model, problem = _model_of(version, offered)
    try:
        tensors = contract.from_proto(version.contract)
    except contract.UnknownDatatype as error:
        tensors, problem = contract.Contract((), ()), str(error)
    return Wanted(
        version.model,
        version.version,
        version.digest,
        "" if model is None else model.sha256,
        tensors,
        dataclasses.replace(limits(version.serving, bounds), alone=tensors.decoupled),
        _DEVICES.get(version.serving.device, ""),
        problem,
        # What a later control plane may add is taken for needed.
        _NEEDS.get(wanted.need, Need.ACTIVE),
        0 if model is None else model.size_bytes,
        next((one.sha256 for one in version.artifacts if _is_validation(one)), ""),
        wanted.change,
        version.serving_revision or 1,
        kept_as,
        "" if model is None else model.name,
        tuple((one.name, one.sha256) for one in version.artifacts if _is_needed(one, kept_as, model)),
        version.serving.warm,
        _padding(version.serving.padding),
        next((one.sha256 for one in version.artifacts if one.name == SIGNATURE_FILE), ""),
        tuple((one.name, one.sha256) for one in version.artifacts if one.name != SIGNATURE_FILE),
    )


def _padding(padding: registry_pb2.ServingSettings.Padding) -> Padding | None:
    return Padding(tuple(padding.sizes), tuple(sorted(padding.values.items()))) if padding.sizes else None


def _model_of(
    version: control_pb2.ResolvedVersion, offered: Collection[Format]
) -> tuple[Format, registry_pb2.Artifact | None, str]:
    """Return what a version runs as here, the file of its model, and why it cannot run, empty when it can."""
    declared = from_number(version.format)
    if declared is None:
        return Format.ONNX, None, f"its format, {version.format}, is of a later release"
    kept_as = runs(declared, [one.name for one in version.artifacts], offered)
    if kept_as is None:
        return declared, None, f"it is {declared}, and this pool runs {', '.join(sorted(offered))}"
    models = [one for one in version.artifacts if one.name in MODEL_FILES[kept_as]]
    if len(models) != 1:
        return kept_as, None, f"{len(models)} files of a model of format {kept_as}, one is needed"
    return kept_as, models[0], ""


def _is_needed(artifact: registry_pb2.Artifact, kept_as: Format, model: registry_pb2.Artifact | None) -> bool:
    """Return whether a file beside the model is needed to run it: code may read whatever the version has."""
    return kept_as is Format.PYTHON and model is not None and artifact.name != model.name


def _is_validation(artifact: registry_pb2.Artifact) -> bool:
    json = artifact.type == registry_pb2.Artifact.TYPE_JSON
    return json and artifact.name == expected_outputs.ARTIFACT and artifact.size_bytes <= expected_outputs.MAX_BYTES


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

    apply: called with all wanted versions, the most needed first. connected: called with whether the control plane
    answers. offered: formats of versions that this process runs.
    """

    def __init__(
        self,
        stub: Any,
        pool: str,
        path: Path,
        bounds: Limits,
        apply: Callable[[Sequence[Wanted]], None],
        connected: Callable[[bool, str], None],
        offered: Collection[Format] = ONNX_ALONE,
    ) -> None:
        self._stub = stub
        self._pool = pool
        self._path = path
        self._bounds = bounds
        self._apply = apply
        self._connected = connected
        self._offered = offered
        self._control = Peer("control", every_s=_RETRY_S, max_backoff_s=_MAX_RETRY_S, call="watch")

    def restore(self) -> bool:
        """Apply the last demand that was kept on disk; return whether there was one."""
        try:
            kept = control_pb2.WatchDemandResponse.FromString(self._path.read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, DecodeError) as error:
            log.warning("stored demand is unreadable", path=str(self._path), cause=str(error))
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
                log.warning("demand not stored", path=str(self._path), cause=str(error))
                raise OSError(f"demand cannot be written to disk: {error.strerror}") from error

    def _take(self, answer: control_pb2.WatchDemandResponse) -> None:
        self._apply([from_proto(wanted, self._bounds, self._offered) for wanted in answer.versions])


def _write(path: Path, content: bytes) -> None:
    being_written = path.with_suffix(".new")
    with being_written.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    being_written.replace(path)
