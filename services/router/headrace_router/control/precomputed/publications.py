"""The use cases behind PrecomputedService, but for the upload: begin, commit, give up, take back, look."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from headrace.router.v1 import control_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Aborted, NotFound, PreconditionFailed, Unavailable
from headrace_servicekit.fair_share import Pool

from headrace_router.control.decisions.stored_answers import AnswerState, Precomputed
from headrace_router.control.precomputed.decisions.places import KEY_OVERHEAD_BYTES, Place, Sealed
from headrace_router.control.precomputed.decisions.publishes import (
    Declared,
    Publish,
    State,
    check_complete,
    check_room,
    check_version,
    closed,
    place_of,
)
from headrace_router.control.precomputed.decisions.rows import Output, least_bytes, outputs_of
from headrace_router.control.precomputed.limits import PublishLimits
from headrace_router.control.precomputed.metrics import PrecomputedMetrics
from headrace_router.control.precomputed.postgres import PublishRows, not_found
from headrace_router.control.precomputed.reads import PublishReader
from headrace_router.control.precomputed.valkey import AnswerStore
from headrace_router.control.routes.stored_answers import AnswerWriter
from headrace_router.control.routes.writes import CatchUp
from headrace_router.control.state.view import View
from headrace_router.control.storage.store import Store

log = structlog.get_logger()

TimeLeft = Callable[[], float | None]

# For the estimate of what is declared: entities are mostly ids.
USUAL_ENTITY_BYTES = 16


class Publishing:
    """Every method raises Unavailable while one of the stores cannot be reached."""

    def __init__(
        self,
        view: View,
        store: Store,
        rows: PublishRows,
        answers: AnswerStore,
        answer_writer: AnswerWriter,
        publish_reader: PublishReader,
        clock: Clock,
        limits: PublishLimits,
        catch_up: CatchUp,
        metrics: PrecomputedMetrics,
    ) -> None:
        self._view, self._store, self._rows, self._answers = view, store, rows, answers
        self._answer_writer, self._publish_reader = answer_writer, publish_reader
        self._clock, self._limits = clock, limits
        self._catch_up, self._metrics = catch_up, metrics

    async def begin(self, model: str, version: str, declared: Declared, left_s: float | None) -> Publish:
        """Begin a publish, or return the one that the same request began."""
        digest = await self._digest(model, version, left_s)
        check_version(declared, digest, version)
        # Looked up before there is asked for room, which the publish that was begun has taken already.
        publish = await self._rows.repeated(declared) or await self._begun(model, version, digest, declared)
        if publish.state is State.OPEN:
            await self._answers.open(place_of(publish))
        return publish

    async def get(self, model: str, version: str, generation: int) -> Publish:
        """Return a publish with what the store has of it. Raises NotFound, reason PUBLISH_NOT_FOUND."""
        publish = await self.found(model, version, generation)
        return await self._publish_reader.as_stored(publish) if publish.state is State.OPEN else publish

    async def found(self, model: str, version: str, generation: int) -> Publish:
        """Return a publish as the database has it. Raises NotFound, reason PUBLISH_NOT_FOUND."""
        publish = await self._rows.get(generation)
        if publish is None or (publish.model, publish.version) != (model, version):
            raise not_found(f"models/{model}/versions/{version}/publishes/{generation}")
        return publish

    async def outputs(self, digest: str) -> tuple[Output, ...]:
        """Return the outputs of a registered version."""
        encoded = self._view.mirror.versions.get(digest)
        if encoded is None:
            stored = await self._store.versions([digest])
            if not stored:
                raise Unavailable("the version is not known here yet", reason="VERSION_UNKNOWN", retry_after_s=0.5)
            encoded = stored[0].resolved
        return outputs_of(control_pb2.ResolvedVersion.FromString(encoded).contract)

    async def commit(self, publish: Publish, acknowledged_rows: int, time_left: TimeLeft) -> Publish:
        """Make a generation the one that counts, on disk and acknowledged. acknowledged_rows: 0 for unknown.

        Repeating it after it succeeded only waits again.
        """
        if publish.state is State.ABORTED:
            raise closed(publish)
        kept = await self._kept(publish.model, publish.digest)
        if publish.state is State.OPEN and kept.generation != publish.generation:
            publish = await self._seal(publish, acknowledged_rows)
            kept = await self._put_in_force(publish, time_left)
        else:
            await self._answer_writer.acknowledged(publish.model, time_left)
        if kept.precomputed is not None and kept.generation == publish.generation:
            await self._rows.commit(publish.generation, kept.precomputed.committed_at, kept.precomputed.expires_at)
        return await self.found(publish.model, publish.version, publish.generation)

    async def abort(self, publish: Publish, reason: str) -> None:
        """Give a publish up; its rows are removed later. Raises PreconditionFailed, reason PUBLISH_COMMITTED."""
        kept = await self._kept(publish.model, publish.digest)
        counted = publish.generation in (kept.generation, *(one.generation for one in kept.earlier))
        if counted or publish.state is State.COMMITTED:
            raise PreconditionFailed(
                "the publish was committed: revert it instead",
                reason="PUBLISH_COMMITTED",
                metadata={"model": publish.model, "publish": publish.name},
            )
        if await self._rows.abort(publish.generation, reason):
            self._metrics.publish("aborted")
            log.info("publish given up", publish=publish.name, reason=reason)
        await self._answers.close(place_of(publish))

    async def revert(self, model: str, version: str, expected: int, time_left: TimeLeft) -> None:
        """Make the generation before count again. expected: the one to give up; 0 for the one that counts."""
        digest = await self._digest(model, version, time_left())
        before = (await self._kept(model, digest)).generation
        kept = await self._answer_writer.revert_precomputed(model, digest, expected=expected, time_left=time_left)
        log.info("precomputed answers reverted", model=model, version=version, given_up=before, counts=kept.generation)

    async def _begun(self, model: str, version: str, digest: str, declared: Declared) -> Publish:
        outputs = await self.outputs(digest)
        size = self._size(outputs, version, digest, declared.declared_rows)
        memory = await self._answers.memory()
        if memory.limit_bytes and memory.policy.startswith("allkeys"):
            raise PreconditionFailed(
                f"the store evicts answers that have no time to live (maxmemory-policy {memory.policy}): "
                "precomputed ones would disappear one by one",
                reason="STORE_EVICTS",
            )
        check_room(size, await self._rows.bytes_of_others(), memory.limit_bytes, self._limits.share)
        counts = (await self._kept(model, digest)).generation
        place = Place(self._view.mirror.incarnation, digest, counts)
        pool = Pool("publishes", self._limits.most_open, "TOO_MANY_PUBLISHES", retry_after_s=10.0)
        publish = await self._rows.begin(place, model, version, declared, size=size, now=self._clock.now(), pool=pool)
        self._metrics.publish("begun")
        log.info("publish begun", publish=publish.name, declared_rows=declared.declared_rows)
        return publish

    async def _kept(self, model: str, digest: str) -> AnswerState:
        """Return the stored answers of a version, also as another control plane changed them a moment ago."""
        await self._view.read()
        return self._answer_writer.kept(model, digest)

    async def _digest(self, model: str, version: str, left_s: float | None) -> str:
        digest = (await self._publish_reader.known(model, left_s)).registered.versions.get(version)
        if digest is None:  # perhaps registered a moment ago
            await self._catch_up(model, left_s)
            digest = (await self._publish_reader.known(model, left_s)).registered.versions.get(version)
        if digest is None:
            raise NotFound(
                f"model '{model}' has no version '{version}'", reason="VERSION_NOT_FOUND", metadata={"model": model}
            )
        return digest

    def _size(self, outputs: tuple[Output, ...], version: str, digest: str, rows: int) -> int:
        """Return the bytes that declared rows will take at least."""
        place = Place(self._view.mirror.incarnation, digest, 10**6)
        each = len(place.prefix) + USUAL_ENTITY_BYTES + least_bytes(outputs) + KEY_OVERHEAD_BYTES
        return rows * each

    async def _seal(self, publish: Publish, acknowledged_rows: int) -> Publish:
        """Close a publish that is complete, have it on disk, and note what it has."""
        place = place_of(publish)
        progress = await self._answers.progress(place)
        check_complete(publish, progress.rows if progress else None, acknowledged_rows)
        assert progress is not None
        within_s = self._limits.disk_wait.total_seconds() if self._limits.durable else None
        sealed, has = await self._answers.seal(place, progress.rows, durable_within_s=within_s)
        if sealed is not Sealed.SEALED:  # lost, or added to, in this moment
            check_complete(
                publish, None if sealed is Sealed.UNKNOWN else has.rows, max(acknowledged_rows, progress.rows)
            )
            raise Unavailable("rows were added meanwhile: commit again", reason="PUBLISH_CHANGED", retry_after_s=0.1)
        size = has.bytes + has.entities * KEY_OVERHEAD_BYTES
        await self._rows.counted(publish.generation, has.rows, has.entities, size)
        again = await self.found(publish.model, publish.version, publish.generation)
        if again.state is State.ABORTED:
            raise closed(again)
        return again

    async def _put_in_force(self, publish: Publish, time_left: TimeLeft) -> AnswerState:
        now = self._clock.now()
        expires_at = now + publish.ttl if publish.ttl is not None else None
        new = Precomputed(publish.generation, now, expires_at, publish.origin)
        try:
            kept = await self._answer_writer.commit_precomputed(
                publish.model, publish.digest, new, expected=publish.expected, time_left=time_left
            )
        except Aborted as overtaken:
            await self._rows.abort(publish.generation, overtaken.public_message)
            self._metrics.publish("overtaken")
            raise
        self._metrics.publish("committed")
        log.info("publish committed", publish=publish.name, rows=publish.rows, entities=publish.entities)
        return kept
