"""Formats that an installation allows beyond pure computation: code, and external servers."""

from __future__ import annotations

import json
from collections.abc import Collection

from headrace_runtime.formats import SIGNATURE_FILE
from headrace_runtime.signatures.bundle import MAX_BYTES
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation, PreconditionFailed, refuse
from headrace_servicekit.resource_names import invalid

from headrace_registry.artifacts.blobs import Blobs, recorded
from headrace_registry.artifacts.signatures import CODE, Signatures, is_code
from headrace_registry.decisions import formats
from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.models import Format, Stage, Version
from headrace_registry.storage.store import Store

MAX_SERVER_BYTES = 4096
_SERVER_FIELDS = frozenset({"target", "model", "version"})


class FormatPolicy:
    """allow_code: whether versions that are code may be registered. targets: `host:port` of servers that versions may
    name."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        signatures: Signatures,
        *,
        allow_code: bool,
        targets: Collection[str],
    ) -> None:
        self._store, self._blobs, self._clock = store, blobs, clock
        self._signatures, self._allow_code, self._targets = signatures, allow_code, targets

    def check_upload(self, kind: ArtifactType, *, as_code: bool, field: str = "type") -> None:
        """Raise unless a file of a type may come by this way. as_code: by that for code. field: of the request."""
        if as_code and kind not in CODE:
            message = f"TYPE_{kind.name} is no code: send it by UploadArtifact"
            raise invalid(field, message, reason="ARTIFACT_TYPE_REFUSED")
        if as_code:
            self._check_code()
        elif kind in CODE:
            message = (
                f"TYPE_{kind.name} is code: send it by UploadCode or StreamCode, which need the scope registry.code"
            )
            raise invalid(field, message, reason="ARTIFACT_TYPE_REFUSED")

    async def check(self, version: Version) -> None:
        """Raise PreconditionFailed for a version that the installation does not allow, InvalidArgument for a server
        file that does not say which server."""
        if is_code(version):
            self._check_code()
        if self._signatures.checked:
            content, _ = await self._json(version, SIGNATURE_FILE, MAX_BYTES)
            earlier = await self._store.version(version.ref)  # which registering the same again returns
            seen = self._clock.now() if earlier is None else earlier.create_time
            self._signatures.check_content(version, Stage.REGISTERED, content, seen)
        if version.format is Format.OIP:
            await self._check_server(version)

    def _check_code(self) -> None:
        if not self._allow_code:
            raise PreconditionFailed(
                "this installation takes no code: export the model to ONNX, or set REGISTRY_ALLOW_CODE",
                reason="CODE_NOT_ALLOWED",
            )

    async def _check_server(self, version: Version) -> None:
        content, field = await self._json(version, formats.SERVER_FILE, MAX_SERVER_BYTES)
        if content is None:
            return  # registering it says so
        target = target_of(json.loads(content), field)
        if target not in self._targets:
            known = ", ".join(sorted(self._targets)) or "none"
            raise PreconditionFailed(
                f"server '{target}' is not among those that versions may name (REGISTRY_OIP_TARGETS): {known}",
                reason="SERVER_NOT_ALLOWED",
                violations=[FieldViolation(field, f"'{target}' is not allowed")],
            )

    async def _json(self, version: Version, name: str, max_bytes: int) -> tuple[bytes | None, str]:
        """Return the content of a version's small JSON file, None where it is absent or not uploaded, and the field
        that names it. Raises InvalidArgument for a file that is too large."""
        at = next((at for at, one in enumerate(version.artifacts) if one.name == name), None)
        if at is None:
            return None, "version.artifacts"
        artifact, field = version.artifacts[at], f"version.artifacts[{at}]"
        blob = await self._store.touch_blob(artifact.sha256, ArtifactType.JSON, self._clock.now())
        if blob is None:
            return None, field
        if blob.size_bytes > max_bytes:
            refuse([FieldViolation(field, f"{blob.size_bytes} bytes; at most {max_bytes}")])
        pieces = [piece async for piece in recorded(self._blobs, artifact.sha256, artifact.name)]
        return b"".join(pieces), field


def target_of(server: object, field: str) -> str:
    """Return the address in a server file. Raises InvalidArgument."""
    if not isinstance(server, dict) or not server.keys() <= _SERVER_FIELDS:
        refuse([FieldViolation(field, 'is not {"target": "host:port", "model": "…", "version": "…"}')])
    assert isinstance(server, dict)
    for name in ("target", "model"):
        if not isinstance(server.get(name), str) or not server[name]:
            refuse([FieldViolation(f"{field}.{name}", "is missing")])
    if not isinstance(server.get("version", ""), str):
        refuse([FieldViolation(f"{field}.version", "is no text")])
    return server["target"]
