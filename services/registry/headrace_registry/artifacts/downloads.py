"""Reading the files of versions: for whoever makes another version of one."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from headrace_servicekit.errors import NotFound, Unavailable

from headrace_registry.artifacts.blobs import Blobs
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
        try:
            async for piece in self._blobs.read(artifact.sha256):
                yield piece
        except LookupError:  # it is named, so it was there: the store lost it, or a backup is being restored
            raise Unavailable(f"the bytes of '{name}' are not in the artifact store now", retry_after_s=5.0) from None
