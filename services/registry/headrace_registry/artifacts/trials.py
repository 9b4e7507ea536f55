"""Whether a version that is about to be registered runs: what was found at its upload, or a trial of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from headrace_servicekit.clock import Clock

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.artifacts.trial_check import Request
from headrace_registry.decisions import contract, file_contract, validation
from headrace_registry.decisions.files import VALIDATION_FILE, Artifact, ArtifactType, Blob, Trial
from headrace_registry.decisions.models import Contract, Version
from headrace_registry.storage.store import Store

TryOut = Callable[[Request, int], Awaitable[Trial | None]]
"""From a request and the size of its model file to what became of it."""


class Trials:
    """Trials over the stored files. directory: for at most one copy of a model file at a time each; None is the
    system's."""

    def __init__(
        self, store: Store, blobs: Blobs, try_out: TryOut, clock: Clock, *, directory: Path | None = None
    ) -> None:
        self._store, self._blobs, self._try_out, self._clock = store, blobs, try_out, clock
        self._directory = directory

    async def of(self, version: Version) -> Trial | None:
        """Return the result of a trial run of a version's model; None where it is inconclusive. Raises Unavailable.

        Of other formats than ONNX the expected outputs are read, and nothing is run. Other faults of the version are
        not reported here.
        """
        if version.composition is not None or validation.version_violations(version, ""):
            return None  # what a pipeline runs was tried before
        model = await self._blob(version, lambda artifact: artifact.type is ArtifactType.ONNX)
        if model is None or model.model_file is None:
            given = await self._blob(version, lambda artifact: artifact.name == VALIDATION_FILE)
            stated = contract.is_stated(version.contract) and not contract.violations(version.contract, "")
            return await self._run(version.contract, None, given) if given is not None and stated else None
        declared, file = file_contract.of_version(version.contract, model.model_file), model.model_file
        if file_contract.gaps(file, "") and not contract.is_stated(version.contract):
            return None
        if contract.violations(declared, "") or file_contract.mismatches(declared, file, ""):
            return None
        declared = file_contract.with_batch_dimensions(declared, file)
        given = await self._blob(version, lambda artifact: artifact.name == VALIDATION_FILE)
        found = file.trial
        applies = found is not None and file_contract.trial_applies(found, declared, file_contract.of_file(file))
        # Rows that are given may be answered where zeros are not, and may say what the answers should be.
        if found is not None and applies and given is None:
            return found
        return await self._run(declared, model, given)

    async def _blob(self, version: Version, wanted: Callable[[Artifact], bool]) -> Blob | None:
        artifact = next((one for one in version.artifacts if wanted(one)), None)
        if artifact is None:
            return None
        return await self._store.touch_blob(artifact.sha256, artifact.type, self._clock.now())

    async def _run(self, declared: Contract, model: Blob | None, given: Blob | None) -> Trial | None:
        with tempfile.TemporaryDirectory(dir=self._directory) as folder:
            try:
                file = None if model is None else await self._fetch(model, Path(folder, "model.onnx"))
                rows = None if given is None else await self._fetch(given, Path(folder, VALIDATION_FILE))
            except LookupError:  # registering it says what is missing
                return None
            return await self._try_out(Request(file, declared, rows), 0 if model is None else model.size_bytes)

    async def _fetch(self, blob: Blob, path: Path) -> Path:
        with path.open("wb") as file:
            async for piece in self._blobs.read(blob.sha256):
                file.write(piece)
        return path
