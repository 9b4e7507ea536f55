"""The RPCs of MonitorService about references and drift."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, PreconditionFailed, Unavailable
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid

from headrace_monitor import names
from headrace_monitor.judge.drift import convert
from headrace_monitor.judge.drift.decisions import tolerances
from headrace_monitor.judge.drift.decisions.evaluation import Schedule
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.postgres import DriftTolerances
from headrace_monitor.judge.drift.store import EvaluationStore
from headrace_monitor.judge.references.freezer import Freezer, FreezeRequest
from headrace_monitor.judge.references.store import References, StoredReference
from headrace_monitor.record.log.contracts import ContractSource, version_not_found

MAX_COLUMN_CHARS = 256
# Evaluations whose rows show the traffic.
TRAFFIC_OF = 24


class DriftRpcs:
    """Implements FreezeReference, GetReference, GetDrift, ListDrift, SetDriftTolerance and ListDriftTolerances."""

    def __init__(
        self,
        references: References,
        contracts: ContractSource,
        freezer: Freezer,
        evaluator: DriftEvaluator,
        evaluations: EvaluationStore,
        kept_tolerances: DriftTolerances,
        schedule: Schedule,
        clock: Clock,
    ) -> None:
        self._references, self._contracts, self._freezer = references, contracts, freezer
        self._evaluator, self._evaluations, self._tolerances = evaluator, evaluations, kept_tolerances
        self._schedule, self._clock = schedule, clock

    async def freeze_reference(
        self, request: monitor_pb2.FreezeReferenceRequest
    ) -> monitor_pb2.FreezeReferenceResponse:
        """Freeze a reference. Raises InvalidArgument, and whatever Freezer.freeze raises."""
        model, version = names.version_ref(request.name, "name")
        chosen = convert.time_range(request.range, self._clock.now()) if request.HasField("range") else None
        asked = FreezeRequest(model, version, chosen, request.seasonal, identity().client)
        frozen = await self._freezer.freeze(asked)
        return monitor_pb2.FreezeReferenceResponse(reference=convert.reference(frozen))

    async def get_reference(self, request: monitor_pb2.GetReferenceRequest) -> monitor_pb2.GetReferenceResponse:
        """Return the current reference. Raises NotFound, reason REFERENCE_NOT_FOUND or VERSION_NOT_FOUND."""
        model, version = names.version_ref(request.name, "name")
        kept = await self._references.current(model, version)
        if kept is None:
            raise NotFound(await self._none(model, version), reason="REFERENCE_NOT_FOUND")
        return monitor_pb2.GetReferenceResponse(reference=convert.reference(kept))

    async def get_drift(self, request: monitor_pb2.GetDriftRequest) -> monitor_pb2.GetDriftResponse:
        """Evaluate the whole windows that cover the requested time.

        Raises PreconditionFailed, reason REFERENCE_NOT_FOUND; NotFound, reason VERSION_NOT_FOUND.
        """
        model, version = names.version_ref(request.name, "name")
        start, end = convert.time_range(request.range, self._clock.now())
        level = convert.level(request.level)
        kept: StoredReference | None = await self._references.current(model, version)
        if kept is None:
            raise PreconditionFailed(await self._none(model, version), reason="REFERENCE_NOT_FOUND")
        evaluation = await self._evaluator.evaluate(kept, *self._schedule.whole(start, end), level)
        return monitor_pb2.GetDriftResponse(drift=convert.drift(evaluation))

    async def list_drift(self, request: monitor_pb2.ListDriftRequest) -> monitor_pb2.ListDriftResponse:
        """Return a page of the scheduled evaluations, the latest first."""
        model, version = names.version_ref(request.parent, "parent")
        below, size = convert.number_of(request.page_token), convert.page_size(request.page_size)
        evaluations, more = await self._evaluations.page(model, version, below, size)
        for number, message in evaluations:
            message.name = f"{request.parent}/drifts/{number}"
        return monitor_pb2.ListDriftResponse(
            drifts=[message for _, message in evaluations],
            next_page_token=convert.page_token(evaluations[-1][0]) if more else "",
        )

    async def set_tolerance(
        self, request: monitor_pb2.SetDriftToleranceRequest
    ) -> monitor_pb2.SetDriftToleranceResponse:
        """Set what is tolerated. Raises InvalidArgument, and whatever DriftTolerances.put raises."""
        model = names.model_id(request.parent, "parent")
        if len(request.column) > MAX_COLUMN_CHARS or "\0" in request.column:
            raise invalid("column", f"is no name of at most {MAX_COLUMN_CHARS} characters")
        tolerance = request.tolerance if request.HasField("tolerance") else None
        wrong = tolerances.problem(request.test, tolerance)
        if wrong:
            raise invalid("tolerance" if request.test in tolerances.TESTS else "test", wrong)
        await self._tolerances.put(model, request.column, request.test, tolerance)
        return monitor_pb2.SetDriftToleranceResponse()

    async def list_tolerances(
        self, request: monitor_pb2.ListDriftTolerancesRequest
    ) -> monitor_pb2.ListDriftTolerancesResponse:
        """Return what is tolerated and what can be found. Raises like get_drift."""
        model, version = names.version_ref(request.parent, "parent")
        kept = await self._references.current(model, version)
        if kept is None:
            raise PreconditionFailed(await self._none(model, version), reason="REFERENCE_NOT_FOUND")
        last, _ = await self._evaluations.page(model, version, None, TRAFFIC_OF)
        rows = round(sum(message.rows for _, message in last) / len(last)) if last else 0
        rules = await self._tolerances.of(model)
        listed = await asyncio.to_thread(
            lambda: list(tolerances.detectables(kept.reference, rules, rows, self._schedule.level))
        )
        return monitor_pb2.ListDriftTolerancesResponse(tolerances=map(convert.tolerance, listed), window_rows=rows)

    async def _none(self, model: str, version: str) -> str:
        """Return why a version has no reference. Raises NotFound when there is no such version."""
        with suppress(Unavailable):  # there is no reference, whatever the registry would say
            if await self._contracts.get(model, version) is None:
                raise version_not_found(model, version)
        problem = await self._references.problem(model, version)
        remedy = problem or "freeze one, from its artifact reference.parquet or from a time of its log"
        return f"models/{model}/versions/{version} has no reference: {remedy}"
