"""Purging the cache of a version: which version, whether it was asked before, the purge, and the wait."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from headrace_servicekit.errors import AlreadyExists, FieldViolation, NotFound
from headrace_servicekit.identity import model_not_found

from headrace_router.control.routes.stored_answers import AnswerWriter, TimeLeft
from headrace_router.control.routes.writes import CatchUp
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Request, RequestUsed, Store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to be void. version: empty for the one in production. fingerprint: of the whole request."""

    model: str
    version: str
    client: str
    reason: str
    request_id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Purged:
    """What is void: entries of the version with an older epoch."""

    version: str
    cache_epoch: int


class Purging:
    """The use case behind PurgeCache."""

    def __init__(self, view: View, answer_writer: AnswerWriter, store: Store, catch_up: CatchUp) -> None:
        self._view, self._answer_writer, self._store, self._catch_up = view, answer_writer, store, catch_up

    async def purge(self, wanted: Purge, time_left: TimeLeft) -> Purged:
        """Make every cached answer of a version void, as far as possible acknowledged by the data planes.

        Raises NotFound, AlreadyExists (reason REQUEST_ID_REUSED) and Unavailable, as the RPC says.
        """
        earlier = await self._repeated(wanted)
        if earlier is not None:
            return await self._known(wanted.model, earlier, time_left)
        version, digest = await self._version(wanted, time_left)
        request = (
            Request(wanted.client, wanted.request_id, wanted.fingerprint, version=version)
            if wanted.request_id
            else None
        )
        try:
            kept = await self._answer_writer.purge_cache(wanted.model, digest, time_left, request)
        except RequestUsed:  # the same call sent twice at once
            earlier = await self._repeated(wanted)
            if earlier is None:
                raise
            return await self._known(wanted.model, earlier, time_left)
        log.info(
            "cache purged", model=wanted.model, version=version, client=wanted.client, reason=wanted.reason or None
        )
        return Purged(version, kept.cache_epoch)

    async def _known(self, model: str, version: str, time_left: TimeLeft) -> Purged:
        """Return what a repeated call is answered: a later purge counts for it too."""
        await self._view.read()  # the first call may have come to another control plane a moment ago
        await self._answer_writer.acknowledged(model, time_left)
        digest = self._digest(model, version)
        return Purged(version, self._answer_writer.kept(model, digest or "").cache_epoch)

    async def _version(self, wanted: Purge, time_left: TimeLeft) -> tuple[str, str]:
        """Return the version that is meant, and its digest; one that is not known here may be a moment old."""
        for patient in (True, False):
            state = self._view.mirror.state(wanted.model)
            version = wanted.version or (state.registered.production if state is not None else "")
            digest = self._digest(wanted.model, version)
            if digest is not None:
                return version, digest
            if patient:
                await self._catch_up(wanted.model, time_left())
        if self._view.mirror.state(wanted.model) is None:
            raise model_not_found(wanted.model)
        what = f"no version '{wanted.version}'" if wanted.version else "no version in production: name one"
        raise NotFound(
            f"model '{wanted.model}' has {what}",
            reason="VERSION_NOT_FOUND",
            violations=[FieldViolation("version", f"model '{wanted.model}' has {what}")],
        )

    def _digest(self, model: str, version: str) -> str | None:
        state = self._view.mirror.state(model)
        return None if state is None else state.registered.versions.get(version)

    async def _repeated(self, wanted: Purge) -> str | None:
        """Return the version that the request id purged before, if any."""
        if not wanted.request_id:
            return None
        earlier = await self._store.request(wanted.client, wanted.request_id)
        if earlier is None:
            return None
        if earlier.fingerprint != wanted.fingerprint or earlier.version is None:
            raise AlreadyExists(
                f"request_id '{wanted.request_id}' was used for another write", reason="REQUEST_ID_REUSED"
            )
        return earlier.version
