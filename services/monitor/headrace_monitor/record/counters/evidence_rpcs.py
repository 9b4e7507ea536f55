"""The RPCs of EvidenceService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import shown

from headrace_monitor.record.counters.convert import MAX_NAME_CHARS
from headrace_monitor.record.counters.decisions import cursors
from headrace_monitor.record.counters.decisions.cursors import ArmKey, CountKey, Cursor
from headrace_monitor.record.counters.decisions.tallies import Tally
from headrace_monitor.record.counters.evidence import Block, EvidenceReader, EvidenceSnapshot

# Counts are kept by the minute for at least so long.
MAX_MINUTES = 60
_NO_TIME = timedelta(0)


class EvidenceServicer(evidence_pb2_grpc.EvidenceServiceServicer):
    """EvidenceService over what reads counts, and what lists running experiments: model, id, and whether each is to be
    stopped on harm. A method that is not here is UNIMPLEMENTED.
    """

    def __init__(self, reader: EvidenceReader, running: Callable[[], Awaitable[list[tuple[str, str, bool]]]]) -> None:
        self._reader, self._running = reader, running

    async def ReadCounts(self, request, context):
        before = await asyncio.to_thread(_cursor_of, request)
        snapshot = await self._reader.read(request.model, before)
        return await asyncio.to_thread(_response, snapshot, before)

    async def ReadHistory(self, request, context):
        arm, block = _checked(request), timedelta(minutes=request.block_minutes)
        blocks = await self._reader.history(request.model, arm, block, request.blocks)
        return await asyncio.to_thread(_history, blocks)

    async def ListGuardedExperiments(self, request, context):
        running = {f"models/{model}/experiments/{id_}": guarded for model, id_, guarded in await self._running()}
        names = [name for name, guarded in running.items() if guarded]
        return evidence_pb2.ListGuardedExperimentsResponse(names=names, running=running)


def _cursor_of(request: evidence_pb2.ReadCountsRequest) -> Cursor | None:
    """Return the cursor, None to begin. Raises InvalidArgument that names every field at fault."""
    cursor, found = None, [*_unnamed(request, "model")]
    if request.cursor:
        try:
            cursor = cursors.from_bytes_of(request.cursor)
        except ValueError:
            found.append(FieldViolation("cursor", "is not a token of ReadCounts; leave it out to start now"))
    refuse(found)
    return cursor


def _checked(request: evidence_pb2.ReadHistoryRequest) -> ArmKey:
    """Return the version and variant. Raises InvalidArgument that names every field at fault."""
    found = [*_unnamed(request, "model"), *_unnamed(request, "version")]
    if len(request.variant) > MAX_NAME_CHARS or not request.variant.isprintable():
        found.append(FieldViolation("variant", f"is not printable, or longer than {MAX_NAME_CHARS} characters"))
    found += [
        FieldViolation(field, f"{value} is not 1 to {MAX_MINUTES}")
        for field in ("block_minutes", "blocks")
        if not 1 <= (value := getattr(request, field)) <= MAX_MINUTES
    ]
    if not found and request.block_minutes * request.blocks > MAX_MINUTES:
        minutes = request.block_minutes * request.blocks
        found.append(FieldViolation("blocks", f"{minutes} minutes in all; ask for {MAX_MINUTES} at most"))
    refuse(found)
    return ArmKey(request.version, request.variant)


def _unnamed(request: Any, field: str) -> Iterator[FieldViolation]:
    name = getattr(request, field)
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        yield FieldViolation(field, f"{shown(name)} is not 1 to {MAX_NAME_CHARS} printable characters")


def _response(snapshot: EvidenceSnapshot, before: Cursor | None) -> evidence_pb2.ReadCountsResponse:
    new = snapshot.new
    response = evidence_pb2.ReadCountsResponse(reporters=len(snapshot.reporters), cursor=cursors.to_bytes(new.cursor))
    response.read_time.FromDatetime(new.cursor.read_time)
    if before is not None:
        response.elapsed.FromTimedelta(max(new.cursor.read_time - before.read_time, _NO_TIME))
    response.counts.extend(_counts(new.counts))
    for arm, (units, new_units) in sorted(new.units.items()):
        getattr(response, arm.kind).add(version=arm.version, variant=arm.variant, units=units, new_units=new_units)
    for one in snapshot.reporters:
        if one.missing:
            missing = response.missing.add(data_plane=one.data_plane, process=one.process)
            missing.report_time.FromDatetime(one.seen_time)
    return response


def _history(blocks: Sequence[Block]) -> evidence_pb2.ReadHistoryResponse:
    response = evidence_pb2.ReadHistoryResponse()
    for one in blocks:
        block = response.blocks.add(counts=_counts(one.counts))
        block.start_time.FromDatetime(one.start)
    return response


def _counts(counts: Mapping[CountKey, Tally]) -> Iterator[evidence_pb2.ReadCountsResponse.Counts]:
    for key, tally in sorted(counts.items()):
        yield evidence_pb2.ReadCountsResponse.Counts(
            version=key.version,
            variant=key.variant,
            served_from=predict_pb2.PredictResponse.ServedFrom.Name(key.served_from),
            code=key.code,
            priority=key.priority,
            count=tally.count,
            first_bucket=tally.durations.first,
            duration_counts=tally.durations.counts.tolist(),
            invalid=tally.invalid,
            degraded=tally.degraded,
        )
