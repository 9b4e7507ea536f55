"""Signatures of versions, held against the signing policy when they are registered and when they are moved."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime

from headrace_runtime.formats import SIGNATURE_FILE
from headrace_runtime.signatures.policy import Use
from headrace_runtime.signatures.policy_file import PolicyFile
from headrace_servicekit.errors import Unavailable

from headrace_registry.artifacts.blobs import Blobs, recorded
from headrace_registry.decisions import compositions, formats
from headrace_registry.decisions.files import ArtifactType
from headrace_registry.decisions.models import Stage, Version

CODE = frozenset({ArtifactType.PYTHON, ArtifactType.REQUIREMENTS, ArtifactType.PT2, ArtifactType.OPAQUE})
"""Types of files that are code, or say what code is installed: what AOTInductor packs is a shared library, and what
code reads may be a pickle."""

_STAGES = {Stage.REGISTERED: Use.REGISTERED, Stage.STAGING: Use.STAGING, Stage.PRODUCTION: Use.PRODUCTION}
# A promotion holds its model's lock meanwhile.
_READ_S = 5.0
_CACHED = 64


class Signatures:
    """policy: None where the installation has none, and nothing is checked."""

    def __init__(self, blobs: Blobs, policy: PolicyFile | None) -> None:
        self._blobs, self._policy = blobs, policy
        self._cached: OrderedDict[str, bytes] = OrderedDict()

    @property
    def checked(self) -> bool:
        """Whether this installation has a signing policy."""
        return self._policy is not None

    def check_content(self, version: Version, stage: Stage, content: bytes | None, seen: datetime) -> None:
        """Raise PreconditionFailed as `Policy.check`. content: of the version's signature, None without one. seen: when
        the version was registered."""
        use = _STAGES.get(stage)
        if self._policy is None or use is None:
            return
        uses = (use, Use.CODE) if is_code(version) else (use,)
        name = f"{version.ref.model}@{version.ref.version}"
        self._policy.policy.check(name, _files(version), content, *uses, seen=seen)

    async def check(self, version: Version, stage: Stage) -> None:
        """Raise PreconditionFailed for a version that may not enter a stage, Unavailable while S3 is away."""
        if self._policy is None or stage not in _STAGES:
            return
        sha256 = next((one.sha256 for one in version.artifacts if one.name == SIGNATURE_FILE), None)
        self.check_content(version, stage, None if sha256 is None else await self._read(sha256), version.create_time)

    async def _read(self, sha256: str) -> bytes:
        content = self._cached.get(sha256)
        if content is None:
            try:
                async with asyncio.timeout(_READ_S):
                    pieces = [piece async for piece in recorded(self._blobs, sha256, SIGNATURE_FILE)]
            except TimeoutError:
                message = f"{SIGNATURE_FILE} was not read from S3 within {_READ_S:g} s"
                raise Unavailable(message, retry_after_s=1.0) from None
            content = self._cached[sha256] = b"".join(pieces)
            if len(self._cached) > _CACHED:
                self._cached.popitem(last=False)
        return content


def is_code(version: Version) -> bool:
    """Return whether batchers would run code of a version."""
    return bool(CODE.intersection(formats.FILES[version.format].model.values()))


def _files(version: Version) -> dict[str, str]:
    """Return what a signature must cover: all files but itself and graphs that the registry made."""
    pipeline = None if version.composition is None else version.composition.pipeline
    return {
        one.name: one.sha256
        for one in version.artifacts
        if one.name != SIGNATURE_FILE and not (pipeline is not None and compositions.is_made(one.name, pipeline))
    }
