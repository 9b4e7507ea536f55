"""One prediction, from a request object to an answer: table → variant → contract → fallback chain and look-up → answer.

Nothing here knows a transport or a protocol. Transports call `predict`; codecs make its argument and render its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import uuid_utils
from headrace_servicekit.errors import Code, InvalidArgument, ServiceError
from headrace_servicekit.identity import model_not_found

from headrace_router.data.answer.answer import Answer, Rest, ServedFrom
from headrace_router.data.answer.refusals import (
    BUDGET_SPENT,
    answers_in_parts,
    budget_spent,
    deadline_exceeded,
    model_missing,
    model_not_ready,
    no_tables,
    version_not_found,
)
from headrace_router.data.batchers.parts import following
from headrace_router.data.batchers.work import BATCH, ONLINE
from headrace_router.data.budgets import Budgets, Overrun
from headrace_router.data.explain.facts import Outcome
from headrace_router.data.fallbacks.chain import FallbackChain
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.request.request import Call, Request, ResolvedRequest, in_callers_words
from headrace_router.data.request.trace import Trace
from headrace_router.data.tables.contract import Layout, check_contents
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.table import Table, Variant, assigns_requests, unit_of
from headrace_router.data.tables.tables import Tables
from headrace_router.data.telemetry.accesslog import AccessLog
from headrace_router.data.telemetry.counters import (
    FAULTS,
    REFUSALS,
    Counters,
    Key,
    Series,
    VariantKey,
    VariantUnits,
)

Record = Callable[[ResolvedRequest, Answer], object]
Give = Callable[[Answer], Awaitable[object]]
Resolve = Callable[..., ResolvedRequest]


class Explanations(Protocol):
    """Where explanations go. clock: for the times in them; the loop's own stands still within a turn. one_in: so many
    requests are explained without asking for it, 0 for none."""

    clock: Callable[[], float]
    one_in: int

    def samples(self) -> bool:
        """Return whether the request that begins now is explained without asking for it."""
        ...

    def keep(self, trace: Trace, request: Request, call: Call, outcome: Outcome) -> None:
        """Keep what came of a request, or drop it; never waits."""
        ...


class Stages(NamedTuple):
    """What happens to the requests of a route. find: gives the answer. observers: get each answer, in order."""

    find: Callable[[ResolvedRequest], Awaitable[Answer]]
    observers: tuple[Record, ...]


class Predictor:
    """Answers predictions from the tables in force.

    record: hears of every answer, and must be quick; None where nothing is recorded. copy: the same of answers whose
    route has a shadow. new_id: makes prediction ids (UUIDv7). max_rows: most rows of one request.
    """

    def __init__(
        self,
        tables: Tables,
        chain: FallbackChain,
        counters: Counters,
        access_log: AccessLog,
        explanations: Explanations,
        budgets: Budgets,
        rate_limits: RateLimiter,
        *,
        record: Record | None = None,
        copy: Record | None = None,
        new_id: Callable[[], str],
        max_rows: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._tables, self._chain, self._counters, self._access_log = tables, chain, counters, access_log
        self._explanations, self._budgets, self._rate_limits = explanations, budgets, rate_limits
        self._record, self._copy = record, copy
        self._new_id, self._max_rows, self._loop = new_id, max_rows, loop
        self._now, self._clock = loop.time, counters.clock
        self._samples = explanations.one_in > 0
        self._repeat: Record | None = None
        tables.prepare(self._prepare)

    def repeat_with(self, repeat: Record) -> None:
        """Have something hear of answers that may be repeated, as far as their routes say, before they are rendered."""
        self._repeat = repeat
        self._tables.prepare(self._prepare)

    def predict(self, request: Request, call: Call) -> Coroutine[Any, Any, Answer]:
        """Return the answer. Raises ServiceError for every refusal.

        Cancelling the task withdraws the request from the batcher; its batch-mates are not delayed.
        """
        if call.context is not None:
            request = request.completed(call.context)
        explained = request.explain or (self._samples and self._explanations.samples())
        if explained or call.marks is not None or request.timeout_s is not None:
            return self._noted(request, call, explained=explained)
        return self._predict(request, call, self._resolve)

    async def predict_in_parts(self, request: Request, call: Call, give: Give) -> Answer:
        """Give an answer in parts as they come, or the one that the version has; return the last.

        give: returns when the caller has taken one; the next is not asked for before. Raises as `predict` does, also
        after some were given.
        """
        if call.context is not None:
            request = request.completed(call.context)
        explained = request.explain or (self._samples and self._explanations.samples())
        if explained or call.marks is not None or request.timeout_s is not None:
            answer = await self._noted(request, call, give, explained=explained)
        else:
            answer = await self._predict(request, call, self._resolve, give)
        if answer.rest is None:
            await give(answer)
        return answer

    def _prepare(self, table: Table) -> None:
        """Choose the stages of a route: what it does not declare costs its requests nothing."""
        observers: list[Record] = []
        if table.splits_units:
            observers.append(self._note_asked)
        if self._record is not None:
            observers.append(self._record)
        if table.shadow is not None and self._copy is not None:
            observers.append(self._copy)
        elif self._repeat is not None and table.policy.mode is not Mode.ONLINE:
            observers.append(self._repeat)
        table.stages = Stages(self._chain.stage(table), tuple(observers))

    async def _noted(self, request: Request, call: Call, give: Give | None = None, *, explained: bool) -> Answer:
        """Predict what has a deadline of its own, or whose caller asks where its time goes or how it was answered."""
        marks = call.marks
        if marks is not None:
            marks.end_receive()
        if request.timeout_s is not None:
            call = replace(call, deadline=min(call.deadline, self._now() + request.timeout_s))
        if explained:
            answer = await self._explained(request, call, give)
        else:
            answer = await self._predict(request, call, partial(self._resolve_noted, None), give)
        if marks is not None:
            marks.answered(call.arrived + answer.took_s, answer.queue_us, answer.compute_us)
            if call.span is not None:
                call.span.end("OK", marks)
        return answer

    async def _explained(self, request: Request, call: Call, give: Give | None) -> Answer:
        trace = Trace(self._explanations.clock)
        code, reason = Code.INTERNAL, "INTERNAL"
        try:
            trace.found = answer = await self._predict(request, call, partial(self._resolve_noted, trace), give)
            code, reason = Code.OK, ""
        except ServiceError as error:
            code, reason = error.code, error.reason
            raise
        except asyncio.CancelledError:
            code, reason = Code.CANCELLED, "CANCELLED"
            raise
        finally:
            # The caller of a streamed answer that failed knows the id that its parts had.
            prediction_id = "" if trace.found is None else trace.found.prediction_id
            outcome = Outcome(prediction_id or self._new_id(), trace.now(), code, reason)
            self._explanations.keep(trace, request, call, outcome)
        return answer

    async def _predict(self, request: Request, call: Call, resolve: Resolve, give: Give | None = None) -> Answer:
        try:
            table = self._table(request, call)
            if self._rate_limits.limited:
                waits = self._rate_limits.take(call.caller.client, request.model)
                if waits is not None:
                    await waits
                    table = self._table(request, call)  # by now there may be another one
        except BaseException as error:
            # What is beyond a client's rate is its own: no alert or rollout of the model is to hear of it.
            self._failed(call, Key("", "", "", 0, _code_of(error)), error)
            raise
        table.open += 1
        variant: Variant | None = None
        try:
            variant = _variant(table, request, call)
            resolved = resolve(table, variant, request, call, in_parts=give is not None)
            try:
                budgets = self._budgets
                overrun = budgets.overrun(call.caller.client, variant.served.models) if budgets.over else None
                if overrun is None:
                    found = await table.stages.find(resolved)
                else:
                    found = await self._find_over_budget(resolved, overrun)
                if found.rest is not None and give is not None:
                    found = await self._give_all(resolved, found, found.rest, give)
            except InvalidArgument as error:  # the batcher blames an input: NaN, a value that the model refuses
                raise in_callers_words(error, resolved.tensors, resolved.layout) from None
            return self._answer(resolved, found)
        except BaseException as error:
            code = _code_of(error)
            if isinstance(error, ServiceError) and error.reason == BUDGET_SPENT:
                # As what is beyond its rate: the client's own.
                self._failed(call, Key("", "", "", 0, code), error)
                raise
            if variant is not None and code in FAULTS:
                self._note_unit(self._counters.erring, table, variant, request, call)
            elif variant is not None and code in REFUSALS:
                self._note_unit(self._counters.refused, table, variant, request, call)
            self._failed(call, _key(table, variant, code, request.priority), error)
            raise
        finally:
            table.open -= 1
            if table.retired:
                self._tables.answered(table)

    async def _give_all(self, resolved: ResolvedRequest, found: Answer, rest: Rest, give: Give) -> Answer:
        """Give the parts of an answer; return the last, with what all of them took. Raises ServiceError.

        By the deadline of the call, also where the caller takes none: the answer counts among those in progress.
        """
        call, trace, last = resolved.call, resolved.trace, found
        self._identify(resolved, found)
        if trace is not None:
            trace.found = found
        try:
            async with asyncio.timeout_at(call.deadline):
                part: Answer | None = None if rest.empty else found
                while part is not None:
                    await give(part)
                    last, size_bytes = part, len(part.outputs)
                    rest.sent(size_bytes)
                    call.parts += 1
                    call.part_bytes += size_bytes
                    if trace is not None:
                        trace.parts, trace.part_bytes = call.parts, call.part_bytes
                    response = await rest.next()
                    part = None if response is None else following(last, response)
        except TimeoutError:
            rest.close(Code.DEADLINE_EXCEEDED)
            raise deadline_exceeded() from None
        finally:
            rest.close()
        last.compute_us = rest.compute_us
        return last

    def note_repeated(self, first: ResolvedRequest, call: Call, found: Answer, ended: float) -> None:
        """Count and record an answer that was given again elsewhere, as the answer to a call like the first."""
        request, variant = first.request, first.variant
        priority = request.priority and _counted(request.priority)
        key = Key(
            first.table.model, variant.served.version, variant.name, found.served_from, 0, found.layer, "", priority
        )
        self._counters.observe(key, found.took_s, ended)
        if self._record is not None:
            table, tensors, layout = first.table, first.tensors, first.layout
            again = ResolvedRequest(table, variant, request, call, tensors, layout, first.inputs, first.outputs)
            self._record(again, found)

    def refused(self, call: Call, error: ServiceError) -> None:
        """Count a request that a codec could not read."""
        self._failed(call, Key("", "", "", 0, error.code), error)

    def _table(self, request: Request, call: Call) -> Table:
        model = request.model
        if not model:
            raise model_missing()
        if call.deadline <= self._now():
            raise deadline_exceeded()
        tables = self._tables
        if not tables.loaded:
            raise no_tables()
        if model not in tables.by_model or not call.caller.sees(model):
            raise model_not_found(model)
        table = tables.by_model[model]
        if table is None:
            raise model_not_ready(model)
        return table

    def _resolve_noted(
        self, trace: Trace | None, table: Table, variant: Variant, request: Request, call: Call, *, in_parts: bool
    ) -> ResolvedRequest:
        """Resolve a request, and note when; trace: of one that is explained."""
        if trace is not None:
            trace.table, trace.variant = table, variant
        resolved = self._resolve(table, variant, request, call, in_parts=in_parts)
        if call.marks is not None:
            call.marks.end_routing()
        if trace is not None:
            trace.routed = trace.now()
            resolved.trace = trace
        return resolved

    def _resolve(
        self, table: Table, variant: Variant, request: Request, call: Call, *, in_parts: bool
    ) -> ResolvedRequest:
        """Check the request against the version's contract. Raises InvalidArgument in the caller's words."""
        served = variant.served
        if served.decoupled and not in_parts:
            raise answers_in_parts(table.model)
        tensors = request.read(served.contract, self._max_rows)
        described, contents = tensors.described, tensors.contents
        layout: Layout | None = None
        try:
            if not described and table.policy.mode is Mode.BATCH:
                layout = served.without_inputs
            else:
                layout = served.layout(described, self._max_rows)
            if tuple(map(len, contents)) != layout.lengths:  # also when BYTES, whose lengths vary, are among them
                check_contents(layout, described, contents)
            outputs = served.selection(request.outputs) if request.outputs else ()
        except InvalidArgument as error:
            raise in_callers_words(error, tensors, layout) from None
        inputs = contents if layout.in_order else [contents[index] for index in layout.order]
        return ResolvedRequest(table, variant, request, call, tensors, layout, inputs, outputs, in_parts=in_parts)

    async def _find_over_budget(self, resolved: ResolvedRequest, overrun: Overrun) -> Answer:
        """Return an answer to a client that has spent its budget. Raises ServiceError."""
        if overrun.refuses:
            return await self._chain.at_hand(resolved, budget_spent(resolved.call.caller.client, overrun.left_s))
        if resolved.request.priority < BATCH:
            resolved.request = replace(resolved.request, priority=BATCH)
        return await resolved.table.stages.find(resolved)

    def _answer(self, resolved: ResolvedRequest, found: Answer) -> Answer:
        """Return what was found as the caller's answer, counted."""
        table, variant, request, call = resolved.table, resolved.variant, resolved.request, resolved.call
        ended = self._clock()
        took_s = ended - call.arrived
        served, source = variant.served, found.served_from
        key = Key(
            table.model,
            served.version,
            variant.name,
            source,
            0,
            found.layer,
            found.fallback_step,
            request.priority and _counted(request.priority),  # most say none
        )
        series = self._counters.observe(key, took_s, ended)
        if source is not ServedFrom.CACHE:  # which nothing has computed or stood in for
            if found.invalid or found.degraded_reason:
                self._count_faults(resolved, found, series)
            if found.batch_requests and found.served is served and not found.shared_execution:
                series.computed(resolved.layout.rows, found.batch_requests, found.queue_us, found.compute_us)
        if call.sampled:
            self._access_log.write(call, key, took_s, "")
        if not found.prediction_id:  # as `_identify`, without the call
            version = found.served
            found.model, found.contract = table.model, (version or served).contract
            found.version = "" if version is None else version.version
            found.variant, found.rule, found.generation = variant.name, variant.rule, table.generation
            found.request_id, found.prediction_id = request.request_id or call.request_id, self._new_id()
        found.took_s = took_s
        for observe in table.stages.observers:
            observe(resolved, found)
        return found

    def _identify(self, resolved: ResolvedRequest, found: Answer) -> None:
        """Say what a streamed answer is to and of which version, before its first part."""
        # Attributes: a second object with all of this in it would take three times as long.
        variant, version = resolved.variant, found.served
        found.model, found.contract = resolved.table.model, (version or variant.served).contract
        found.version = "" if version is None else version.version
        found.variant, found.rule, found.generation = variant.name, variant.rule, resolved.table.generation
        found.request_id = resolved.request.request_id or resolved.call.request_id
        found.prediction_id = self._new_id()

    def _note_asked(self, resolved: ResolvedRequest, found: Answer) -> None:
        """Note that a unit has the answer of its variant."""
        if found.served_from is ServedFrom.ONLINE:
            self._note_unit(None, resolved.table, resolved.variant, resolved.request, resolved.call)

    def _count_faults(self, resolved: ResolvedRequest, found: Answer, series: Series) -> None:
        """Count an answer that is invalid, or that something stood in for."""
        if found.degraded_reason:
            series.degraded += 1
        elif found.served is resolved.variant.served:
            series.invalid += 1
        self._note_unit(self._counters.erring, resolved.table, resolved.variant, resolved.request, resolved.call)

    def _note_unit(
        self, units: VariantUnits | None, table: Table, variant: Variant, request: Request, call: Call
    ) -> None:
        """Note that a unit asked, and that it erred or was refused (`units`). Where each request is a unit, none is."""
        if assigns_requests(table.unit):
            return
        unit = unit_of(
            table.unit,
            user_id=request.user_id,
            entity_id=request.entity_id,
            request_id=request.request_id or call.request_id,
        )
        key = VariantKey(table.model, variant.served.version, variant.name)
        if units is not None:
            units.add(key, unit)
        if table.splits_units:
            self._counters.asked.add(key, unit)

    def _failed(self, call: Call, key: Key, error: BaseException) -> None:
        """Count an error."""
        ended = self._clock()
        took_s = ended - call.arrived
        self._counters.observe(key, took_s, ended)
        if call.sampled or self._access_log.wants_error(ended):
            self._access_log.write(call, key, took_s, error.reason if isinstance(error, ServiceError) else "")
        if call.span is not None:
            call.span.end(Code(key.code).name, call.marks)


def new_id() -> str:
    """Return a UUIDv7: ids that rise with the time."""
    return str(uuid_utils.uuid7())


def _variant(table: Table, request: Request, call: Call) -> Variant:
    if not request.version:
        return table.assign(
            user_id=request.user_id,
            entity_id=request.entity_id,
            request_id=request.request_id or call.request_id,
            attributes=request.attributes,
        )
    variant = table.pin(request.version)
    if variant is None:
        raise version_not_found(table.model, request.version)
    return variant


def _key(table: Table, variant: Variant | None, code: int, priority: int) -> Key:
    """Return what an error is counted under."""
    counted = _counted(priority)
    if variant is None:
        return Key(table.model, "", "", 0, code, priority=counted)
    return Key(table.model, variant.served.version, variant.name, 0, code, priority=counted)


def _counted(priority: int) -> int:
    """Return the class that a request is counted under: what does not say is ONLINE, and both are 0."""
    return priority if priority > ONLINE else 0


def _code_of(error: BaseException) -> int:
    if isinstance(error, ServiceError):
        return error.code
    return Code.CANCELLED if isinstance(error, asyncio.CancelledError) else Code.INTERNAL
