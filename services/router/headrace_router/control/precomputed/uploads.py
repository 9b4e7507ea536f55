"""Taking the rows of a publish: checked by chunk, encoded and written in slices, acknowledged when Valkey has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router import stored_answers
from headrace_router.control.precomputed.decisions.places import KEY_OVERHEAD_BYTES, Wrote
from headrace_router.control.precomputed.decisions.publishes import (
    Publish,
    State,
    check_room,
    closed,
    missing_rows,
    place_of,
)
from headrace_router.control.precomputed.decisions.rows import Chunk, Output, Rows, check
from headrace_router.control.precomputed.limits import MAX_CHUNK_BYTES, MAX_CHUNK_ROWS, PublishLimits
from headrace_router.control.precomputed.metrics import PrecomputedMetrics
from headrace_router.control.precomputed.postgres import PublishRows
from headrace_router.control.precomputed.publications import Publishing
from headrace_router.control.precomputed.valkey import AnswerStore

# What one script writes: half a millisecond of Valkey and of this event loop, in which they serve nothing else.
SLICE_ROWS = 256
SLICE_BYTES = 256 * 1024
# Between notes in the database of how far an upload is.
NOTE_EVERY_S = 5.0


class Uploading:
    """`begin` an upload for each stream."""

    def __init__(
        self,
        publishing: Publishing,
        rows: PublishRows,
        answers: AnswerStore,
        clock: Clock,
        limits: PublishLimits,
        metrics: PrecomputedMetrics,
    ) -> None:
        self._publishing, self._rows, self._answers = publishing, rows, answers
        self._clock, self._limits, self._metrics = clock, limits, metrics

    async def begin(self, model: str, version: str, generation: int) -> Upload:
        """Continue a publish where it is. Raises NotFound, and Aborted, reason PUBLISH_CLOSED."""
        publish = await self._publishing.found(model, version, generation)
        if publish.state is not State.OPEN:
            raise closed(publish)
        outputs = await self._publishing.outputs(publish.digest)
        upload = Upload(
            publish, outputs, self._publishing, self._rows, self._answers, self._clock, self._limits, self._metrics
        )
        await upload.look()
        return upload


class Upload:
    """One stream of chunks into an open publish; several may go on at once, and each row is taken once."""

    def __init__(
        self,
        publish: Publish,
        outputs: tuple[Output, ...],
        publishing: Publishing,
        rows: PublishRows,
        answers: AnswerStore,
        clock: Clock,
        limits: PublishLimits,
        metrics: PrecomputedMetrics,
    ) -> None:
        self.publish = publish
        self._outputs, self._publishing, self._rows, self._answers = outputs, publishing, rows, answers
        self._clock, self._limits, self._metrics = clock, limits, metrics
        self._place = place_of(publish)
        self._computed_at_ms = int(publish.computed_at.timestamp() * 1000)
        self._count = 0
        self._noted_at = clock.monotonic()

    async def look(self) -> None:
        """Read how far the publish is; begin again one that the store has lost."""
        progress = await self._answers.progress(self._place)
        if progress is None:
            await self._answers.open(self._place)
        elif progress.closed:
            raise await self._closed()
        self._count = progress.rows if progress is not None else 0

    async def add(self, chunk: Chunk) -> int:
        """Add a chunk and return the rows of the publish. What was there already is skipped.

        Raises InvalidArgument naming row and field, PreconditionFailed, reason ROWS_MISSING, Aborted, reason
        PUBLISH_CLOSED, and ResourceExhausted, reason STORE_FULL.
        """
        _check_size(chunk)
        if chunk.first_row > self._count:  # another stream may be further
            await self.look()
        if chunk.first_row > self._count:
            raise missing_rows(self.publish, self._count, chunk.first_row)
        end = chunk.first_row + len(chunk.entities)
        if end > self._count:
            if 0 < self.publish.declared_rows < end:
                message = f"row {end - 1} is more than the {self.publish.declared_rows} rows that were declared"
                raise InvalidArgument(f"entities: {message}", violations=[FieldViolation("entities", message)])
            await self._add(chunk, check(self._outputs, chunk))
        if self._clock.monotonic() - self._noted_at >= NOTE_EVERY_S:
            await self.note()
        return self._count

    async def note(self) -> None:
        """Note in the database how far the publish is, and whether there is room for more."""
        self._noted_at = self._clock.monotonic()
        progress = await self._answers.progress(self._place)
        if progress is None:
            return
        size = progress.bytes + progress.entities * KEY_OVERHEAD_BYTES
        number = self.publish.generation
        if not await self._rows.note(number, progress.rows, progress.entities, size):
            raise await self._closed()
        memory = await self._answers.memory()
        check_room(size, await self._rows.bytes_of_others(number), memory.limit_bytes, self._limits.share)

    async def _add(self, chunk: Chunk, rows: Rows) -> None:
        """Write slices, each encoded while the one before it is written."""
        step = _slice_rows(chunk)
        writing: asyncio.Task[None] | None = None
        begin, end = self._count - chunk.first_row, len(chunk.entities)
        try:
            for start in range(begin, end, step):
                stop = min(start + step, end)
                entries = self._entries(chunk.entities[start:stop], rows.encode(start, stop))
                if writing is not None:
                    await writing
                writing = asyncio.create_task(
                    self._write(chunk.first_row + start, stop - start, entries), name="write-answers"
                )
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
                await asyncio.wait({writing})

    def _entries(self, entities: Sequence[str], encoded: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return entries by key; of several rows of an entity the last."""
        prefix = self._place.prefix
        keys = [prefix + entity.encode() for entity in entities]
        return dict(zip(keys, stored_answers.encode_all(keys, self._computed_at_ms, encoded), strict=True))

    async def _write(self, first_row: int, rows: int, entries: dict[bytes, bytes]) -> None:
        for _ in range(2):
            wrote, count = await self._answers.write(
                self._place, first_row, rows, list(entries), list(entries.values())
            )
            match wrote:
                case Wrote.WRITTEN:
                    self._count = count
                    self._metrics.rows(rows)
                    return
                case Wrote.CLOSED:
                    raise await self._closed()
                case Wrote.NOT_NEXT:
                    self._count = count
                    if count >= first_row + rows:  # another stream was faster
                        return
                    raise missing_rows(self.publish, count, first_row)
                case Wrote.UNKNOWN:  # lost, or removed after the publish was closed
                    current = await self._current()
                    if current.state is not State.OPEN:
                        raise closed(current)
                    await self._answers.open(self._place)
        raise missing_rows(self.publish, 0, first_row)

    async def _closed(self) -> Exception:
        return closed(await self._current())

    async def _current(self) -> Publish:
        publish = self.publish
        return await self._publishing.found(publish.model, publish.version, publish.generation)


def _slice_rows(chunk: Chunk) -> int:
    each = max(1, sum(map(len, chunk.columns)) // max(1, len(chunk.entities)))
    return max(1, min(SLICE_ROWS, SLICE_BYTES // each))


def _check_size(chunk: Chunk) -> None:
    size = sum(map(len, chunk.columns))
    if chunk.first_row < 0:
        wrong = FieldViolation("first_row", "must not be negative")
    elif len(chunk.entities) > MAX_CHUNK_ROWS:
        wrong = FieldViolation("entities", f"{len(chunk.entities)} rows; a chunk has at most {MAX_CHUNK_ROWS}")
    elif size > MAX_CHUNK_BYTES:
        wrong = FieldViolation("columns", f"{size} bytes; a chunk has at most {MAX_CHUNK_BYTES}")
    else:
        return
    raise InvalidArgument(f"{wrong.field}: {wrong.description}", violations=[wrong])
