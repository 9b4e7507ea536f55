"""RPCs of MonitorService about references and drift: convert, call, convert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from headrace.monitor.v1 import monitor_pb2
from headrace_servicekit import pages
from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import NotFound, PreconditionFailed, ServiceError, Unavailable
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid, shown
from headrace_servicekit.times import DAY, span_of

from headrace_monitor import names
from headrace_monitor.judge.drift import convert
from headrace_monitor.judge.drift.decisions import tolerances
from headrace_monitor.judge.drift.decisions.evaluation import Schedule
from headrace_monitor.judge.drift.decisions.histograms import histogram
from headrace_monitor.judge.drift.evaluator import DriftEvaluator
from headrace_monitor.judge.drift.postgres import DriftTolerances
from headrace_monitor.judge.drift.store import EvaluationStore
from headrace_monitor.judge.references.freezer import Freezer, FreezeRequest
from headrace_monitor.judge.references.store import References, StoredReference
from headrace_monitor.judge.windows.store import WindowStore
from headrace_monitor.record.log.contracts import ContractSource, version_not_found

MAX_COLUMNS = 20
MAX_COLUMN_CHARS = 256
# Evaluations whose rows show the traffic.
TRAFFIC_OF = 24


class DriftServicer:
    """Without a reference, an evaluation is a failed precondition, and what is read of it is not found."""

    def __init__(
        self,
        references: References,
        contracts: ContractSource,
        freezer: Freezer,
        evaluator: DriftEvaluator,
        evaluations: EvaluationStore,
        windows: WindowStore,
        kept_tolerances: DriftTolerances,
        schedule: Schedule,
        clock: Clock,
    ) -> None:
        self._references, self._contracts, self._freezer = references, contracts, freezer
        self._evaluator, self._evaluations, self._windows = evaluator, evaluations, windows
        self._tolerances, self._schedule, self._clock = kept_tolerances, schedule, clock

    async def FreezeReference(self, request, context):
        model, version = names.version_ref(request.name, "name")
        chosen = convert.time_range(request.range, self._clock.now()) if request.HasField("range") else None
        frozen = await self._freezer.freeze(FreezeRequest(model, version, chosen, request.seasonal, identity().client))
        return monitor_pb2.FreezeReferenceResponse(reference=convert.reference(frozen))

    async def GetReference(self, request, context):
        model, version = names.version_ref(request.name, "name")
        return monitor_pb2.GetReferenceResponse(
            reference=convert.reference(await self._reference(model, version, NotFound))
        )

    async def GetDrift(self, request, context):
        model, version = names.version_ref(request.name, "name")
        start, end = convert.time_range(request.range, self._clock.now())
        level = convert.level(request.level)
        reference = await self._reference(model, version, PreconditionFailed)
        evaluation = await self._evaluator.evaluate(reference, *self._schedule.whole(start, end), level)
        return monitor_pb2.GetDriftResponse(drift=convert.drift(evaluation))

    async def ListDrift(self, request, context):
        model, version = names.version_ref(request.parent, "parent")
        below, size = pages.page_token(request.page_token), pages.page_size(request.page_size)
        evaluations, more = await self._evaluations.page(model, version, below, size)
        for number, message in evaluations:
            message.name = f"{request.parent}/drifts/{number}"
        return monitor_pb2.ListDriftResponse(
            drifts=[message for _, message in evaluations],
            next_page_token=str(evaluations[-1][0]) if more else "",
        )

    async def GetDistributions(self, request, context):
        model, version = names.version_ref(request.name, "name")
        span = span_of(request.range, "range", self._clock.now(), unset=DAY)
        if len(request.columns) > MAX_COLUMNS:
            raise invalid("columns", f"{len(request.columns)} columns; at most {MAX_COLUMNS} are reported at once")
        if any(len(column) > MAX_COLUMN_CHARS for column in request.columns):
            raise invalid("columns", f"has a name of more than {MAX_COLUMN_CHARS} characters")
        found = await self._reference(model, version, NotFound)
        known = found.reference.columns
        for index, column in enumerate(request.columns):
            if column not in known and column not in found.reference.unfit:
                raise invalid(f"columns[{index}]", f"is {shown(column)}, and the reference has {_listed([*known])}")
        window = await self._windows.total(found.number, span.start, span.end)
        histograms = [
            histogram(name, known[name], window.summaries[name])
            for name in (request.columns or [*known][:MAX_COLUMNS])
            if name in known and name in window.summaries
        ]
        return monitor_pb2.GetDistributionsResponse(
            distributions=[convert.distribution(one) for one in histograms if one is not None]
        )

    async def SetDriftTolerance(self, request, context):
        model = names.model_id(request.parent, "parent")
        if len(request.column) > MAX_COLUMN_CHARS or "\0" in request.column:
            raise invalid("column", f"is no name of at most {MAX_COLUMN_CHARS} characters")
        tolerance = request.tolerance if request.HasField("tolerance") else None
        wrong = tolerances.problem(request.test, tolerance)
        if wrong:
            raise invalid("tolerance" if request.test in tolerances.TESTS else "test", wrong)
        await self._tolerances.put(model, request.column, request.test, tolerance)
        return monitor_pb2.SetDriftToleranceResponse()

    async def ListDriftTolerances(self, request, context):
        model, version = names.version_ref(request.parent, "parent")
        found = await self._reference(model, version, PreconditionFailed)
        last, _ = await self._evaluations.page(model, version, None, TRAFFIC_OF)
        rows = round(sum(message.rows for _, message in last) / len(last)) if last else 0
        rules = await self._tolerances.of(model)
        listed = await asyncio.to_thread(
            lambda: list(tolerances.detectables(found.reference, rules, rows, self._schedule.level))
        )
        return monitor_pb2.ListDriftTolerancesResponse(tolerances=map(convert.tolerance, listed), window_rows=rows)

    async def _reference(self, model: str, version: str, missing: type[ServiceError]) -> StoredReference:
        """Return the current reference. Raises `missing`, REFERENCE_NOT_FOUND; NotFound, VERSION_NOT_FOUND."""
        found = await self._references.current(model, version)
        if found is not None:
            return found
        with suppress(Unavailable):  # there is no reference, whatever the registry would say
            if await self._contracts.get(model, version) is None:
                raise version_not_found(model, version)
        problem = await self._references.problem(model, version)
        remedy = problem or "freeze one, from its artifact reference.parquet or from a time of its log"
        raise missing(f"models/{model}/versions/{version} has no reference: {remedy}", reason="REFERENCE_NOT_FOUND")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_COLUMNS} more" if len(names) > MAX_COLUMNS else ""
    return f"{', '.join(names[:MAX_COLUMNS])}{more}"
