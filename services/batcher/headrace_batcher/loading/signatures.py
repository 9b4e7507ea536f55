"""A version's signature, held against the signing policy of this batcher before the version is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from headrace_runtime.artifacts.cache import Artifacts
from headrace_runtime.backends.backend import LoadError
from headrace_runtime.formats import Format
from headrace_runtime.signatures.bundle import MAX_BYTES
from headrace_runtime.signatures.policy import Unsigned, Use
from headrace_runtime.signatures.policy_file import PolicyFile

from headrace_batcher.decisions.version_state import Wanted

_CODE = frozenset({Format.PYTHON, Format.PT2})


class Signatures:
    """Imported where there is a policy only: a batcher without one needs no cryptography."""

    def __init__(self, artifacts: Artifacts, policy: PolicyFile) -> None:
        self._artifacts, self._policy = artifacts, policy

    async def check(self, wanted: Wanted) -> None:
        """Raise LoadError for a version that may not be loaded here, ArtifactError where its signature is not had."""
        content = None
        if wanted.signature:
            path = await self._artifacts.fetch(wanted.signature)
            content = await asyncio.to_thread(_read, path)
        uses = (Use.SERVING, Use.CODE) if wanted.kept_as in _CODE else (Use.SERVING,)
        name, policy = f"{wanted.model}@{wanted.version}", self._policy.policy
        try:
            await asyncio.to_thread(policy.check, name, dict(wanted.files), content, *uses)
        except Unsigned as error:
            raise LoadError(f"{error.reason}: {error.public_message}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
