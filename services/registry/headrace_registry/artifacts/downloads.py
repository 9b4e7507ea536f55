"""Downloads of versions' files: for tools that derive a version from another."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from headrace_servicekit.errors import NotFound

from headrace_registry.artifacts.blobs import Blobs, recorded
from headrace_registry.decisions import lifecycle
from headrace_registry.decisions.models import Version


class Downloads:
    """The bytes of artifacts."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def pieces(self, version: Version, name: str) -> AsyncGenerator[bytes]:
        """Yield a file of a version in pieces of at most 1 MiB.

        Raises NotFound (ARTIFACT_NOT_FOUND), PreconditionFailed (VERSION_COLLECTED), Unavailable.
        """
        lifecycle.check_kept(version)
        artifact = next((one for one in version.artifacts if one.name == name), None)
        if artifact is None:
            known = ", ".join(one.name for one in version.artifacts)
            raise NotFound(
                f"version '{version.ref.version}' of '{version.ref.model}' has no file '{name}'; it has: {known}",
                reason="ARTIFACT_NOT_FOUND",
                metadata={"artifact": name},
            )
        async for piece in recorded(self._blobs, artifact.sha256, name):
            yield piece
