"""The RPCs of EvidenceService: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from headrace.monitor.v1 import evidence_pb2, evidence_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import shown

from headrace_monitor.counters.convert import MAX_NAME_CHARS
from headrace_monitor.counters.decisions import cursors
from headrace_monitor.counters.decisions.cursors import Cursor
from headrace_monitor.counters.evidence import EvidenceReader, EvidenceSnapshot

_NO_TIME = timedelta(0)


class EvidenceServicer(evidence_pb2_grpc.EvidenceServiceServicer):
    """EvidenceService over what reads counts, and what lists guarded experiments. A method that is not here is
    UNIMPLEMENTED.
    """

    def __init__(self, reader: EvidenceReader, guarded: Callable[[], Awaitable[list[tuple[str, str]]]]) -> None:
        self._reader, self._guarded = reader, guarded

    async def ReadCounts(self, request, context):
        before = await asyncio.to_thread(_cursor_of, request)
        snapshot = await self._reader.read(request.model, before)
        return await asyncio.to_thread(_response, snapshot, before)

    async def ListGuardedExperiments(self, request, context):
        names = [f"models/{model}/experiments/{id_}" for model, id_ in await self._guarded()]
        return evidence_pb2.ListGuardedExperimentsResponse(names=names)


def _cursor_of(request: evidence_pb2.ReadCountsRequest) -> Cursor | None:
    """Return the cursor, None to begin. Raises InvalidArgument that names every field at fault."""
    found: list[FieldViolation] = []
    cursor: Cursor | None = None
    model = request.model
    if not model or len(model) > MAX_NAME_CHARS or not model.isprintable():
        found.append(FieldViolation("model", f"{shown(model)} is not 1 to {MAX_NAME_CHARS} printable characters"))
    if request.cursor:
        try:
            cursor = cursors.from_bytes_of(request.cursor)
        except ValueError:
            found.append(FieldViolation("cursor", "is none that ReadCounts returned; leave it out to begin now"))
    refuse(found)
    return cursor


def _response(snapshot: EvidenceSnapshot, before: Cursor | None) -> evidence_pb2.ReadCountsResponse:
    new = snapshot.new
    response = evidence_pb2.ReadCountsResponse(reporters=len(snapshot.reporters), cursor=cursors.to_bytes(new.cursor))
    response.read_time.FromDatetime(new.cursor.read_time)
    if before is not None:
        response.elapsed.FromTimedelta(max(new.cursor.read_time - before.read_time, _NO_TIME))
    for key, tally in sorted(new.counts.items()):
        response.counts.add(
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
    for arm, (units, new_units) in sorted(new.units.items()):
        response.erring_units.add(version=arm.version, variant=arm.variant, units=units, new_units=new_units)
    for one in snapshot.reporters:
        if one.missing:
            missing = response.missing.add(data_plane=one.data_plane, process=one.process)
            missing.report_time.FromDatetime(one.seen_time)
    return response
