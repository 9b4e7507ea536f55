"""Convert between messages and usage, idle time and budgets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from headrace.router.v1 import budget_pb2, client_limits_pb2, usage_pb2
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import ids, invalid, shown
from headrace_servicekit.times import DAY, HOUR, Span, later, span_of

from headrace_router.control.messages.rate_limits import rate_limit
from headrace_router.control.usage.decisions.budgets import Budget, Overrun, Period, Spent, budget_violations, spending
from headrace_router.control.usage.decisions.idle import IdlePool
from headrace_router.control.usage.decisions.smaller_forms import SmallerForm, share_left
from headrace_router.control.usage.store import Page, Report, Use

MAX_USES = 5_000
MAX_NAME_CHARS = 256
MAX_PRIORITY = 3
LONGEST = timedelta(days=366)
WEEK = 7 * DAY
MAX_SPENDERS = 100
TARGET_UTILISATION = 0.7
# A thousand years.
_MAX_US = 2**55
_LAST_HOUR_S = 253_402_300_000
_NAMES = ("model", "version", "client")
_COUNTS = ("requests", "rows", "compute_us")


def report(request: usage_pb2.ReportUsageRequest) -> Report:
    """Return a report. Raises InvalidArgument that names each wrong field."""
    wrong: list[FieldViolation] = []
    for field in ("pool", "process"):
        text = getattr(request, field)
        if not text or not _is_name(text):
            wrong.append(FieldViolation(field, f"{shown(text)} is not 1 to {MAX_NAME_CHARS} printable characters"))
    if request.sequence < 1:
        wrong.append(FieldViolation("sequence", f"{request.sequence} is below 1"))
    if not 0 <= request.busy_us <= request.present_us <= _MAX_US:
        busy = f"busy for {request.busy_us} of {request.present_us} microseconds"
        wrong.append(FieldViolation("busy_us", busy))
    if len(request.uses) > MAX_USES:
        wrong.append(FieldViolation("uses", f"{len(request.uses)} uses; at most {MAX_USES}"))
    else:
        for index, one in enumerate(request.uses):
            wrong.extend(FieldViolation(f"uses[{index}].{field}", description) for field, description in _wrong(one))
    refuse(wrong)
    summed: dict[tuple[str, str, str, int], Counter[str]] = {}
    for one in request.uses:
        sums = summed.setdefault((one.model, one.version, one.client, one.priority), Counter())
        sums.update({field: getattr(one, field) for field in _COUNTS})
    uses = [Use(*key, *(sums[field] for field in _COUNTS)) for key, sums in summed.items()]
    return Report(request.pool, request.process, request.sequence, request.present_us, request.busy_us, uses)


def _wrong(one: usage_pb2.ComputeUse) -> Iterable[tuple[str, str]]:
    for field in _NAMES:
        if not _is_name(getattr(one, field)):
            yield field, f"is not printable, or longer than {MAX_NAME_CHARS} characters"
    if not 0 <= one.priority <= MAX_PRIORITY:
        yield "priority", f"{one.priority} is not a priority class, 0 to {MAX_PRIORITY}"
    for field in _COUNTS:
        if not 0 <= getattr(one, field) <= _MAX_US:
            yield field, f"{getattr(one, field)} is not between 0 and 2^55"


def _is_name(text: str) -> bool:
    return len(text) <= MAX_NAME_CHARS and text.isprintable()


def client(text: str) -> str:
    """Return the client that is asked about, empty for all. Raises InvalidArgument for what none is called."""
    if not _is_name(text):
        raise invalid("client", f"{shown(text)} is no client's name: at most {MAX_NAME_CHARS} printable characters")
    return text


def whole_hours(message: usage_pb2.TimeRange, now: datetime, *, unset: timedelta) -> Span:
    """Return the hours that a range touches. Raises InvalidArgument."""
    span = span_of(message, "range", now, unset=unset)
    if span.end - span.start > LONGEST:
        raise invalid(
            "range", f"is {(span.end - span.start).days} days long; at most {LONGEST.days} days are summed up"
        )
    start, end = (time.replace(minute=0, second=0, microsecond=0) for time in span)
    return Span(start, end if end == span.end else later(end, HOUR))


def usage(rows: Sequence[Any], total_us: int, span: Span) -> usage_pb2.GetUsageResponse:
    """Return the answer of GetUsage."""
    answer = usage_pb2.GetUsageResponse(
        compute_s=total_us / 1e6, start_time=stamp(span.start), end_time=stamp(span.end)
    )
    for row in rows:
        answer.usage.add(
            **{field: row[field] for field in ("client", "pool", "model", "version", "priority", "requests", "rows")},
            compute_s=row["compute_us"] / 1e6,
        )
    return answer


def target_utilisation(request: usage_pb2.GetIdleTimeRequest) -> float:
    """Return the utilisation that is aimed at. Raises InvalidArgument for it or the price."""
    price, asked = request.price_per_hour, request.target_utilisation
    if not (math.isfinite(price) and price >= 0):
        raise invalid("price_per_hour", f"{price:g} is no price: 0 or more")
    if not request.HasField("target_utilisation"):
        return TARGET_UTILISATION
    if not 0 < asked <= 1:
        raise invalid("target_utilisation", f"{asked:g} is no share of time: above 0, at most 1")
    return asked


def idle_time(
    pools: Sequence[IdlePool],
    executed_s: Mapping[str, float],
    forms: Sequence[SmallerForm],
    span: Span,
    aim: float,
    price: float,
) -> usage_pb2.GetIdleTimeResponse:
    """Return the answer of GetIdleTime. executed_s: by pool."""
    answer = usage_pb2.GetIdleTimeResponse(start_time=stamp(span.start), end_time=stamp(span.end))
    for one in sorted(pools, key=lambda one: -one.idle_hours):
        there = [form for form in forms if form.used.pool == one.pool]
        enough, with_forms = one.enough(aim), one.enough(aim, share_left(executed_s.get(one.pool, 0.0), there))
        pool = answer.pools.add(
            pool=one.pool,
            present_hours=one.present_hours,
            busy_hours=one.busy_hours,
            idle_hours=one.idle_hours,
            replicas=one.replicas,
            enough_replicas=enough.replicas,
            spared_hours=enough.spared_hours,
            saved=enough.spared_hours * price,
            advice=one.advice(aim, price),
            enough_replicas_with_forms=with_forms.replicas,
            spared_hours_with_forms=with_forms.spared_hours,
            saved_with_forms=with_forms.spared_hours * price,
        )
        for used, form in there:
            pool.smaller_forms.add(
                model=used.model,
                version=used.version,
                form=form.version,
                made_by=form.made_by,
                speedup=form.speedup,
                on_cpu=form.on_cpu,
                compute_s=used.compute_s,
                spared_s=SmallerForm(used, form).spared_s,
            )
    return answer


def budget_name(name: str, field: str) -> str:
    """Return the budget in `budgets/{budget}`. Raises InvalidArgument that names the field."""
    (budget,) = ids(name, field, "budgets/{budget}")
    return budget


def budget(message: budget_pb2.Budget) -> Budget:
    """Return a budget. Raises InvalidArgument that names each wrong field."""
    name = budget_name(message.name, "budget.name")
    if message.period not in set(Period):
        raise invalid("budget.period", "must be an hour, a day, a week or a month", reason="BUDGET_INVALID")
    made = Budget(
        *(name, message.client, message.model, Period(message.period)),
        *(message.compute_s, message.refuse_above_s),
    )
    refuse(list(budget_violations(made)), reason="BUDGET_INVALID")
    return made


def to_budget(one: Budget) -> budget_pb2.Budget:
    """Return the message of a budget."""
    return budget_pb2.Budget(
        name=f"budgets/{one.name}",
        client=one.client,
        model=one.model,
        period=budget_pb2.Budget.Period.Name(one.period),
        compute_s=one.compute_s,
        refuse_above_s=one.refuse_above_s,
    )


def to_spent(
    one: Budget, budgets: Sequence[Budget], spent: Spent, span: Span
) -> budget_pb2.ListBudgetsResponse.SpentBudget:
    """Return a budget and who has spent of it. spent: in its period."""
    answer = budget_pb2.ListBudgetsResponse.SpentBudget(
        budget=to_budget(one), start_time=stamp(span.start), end_time=stamp(span.end)
    )
    for client, seconds in spending(one, budgets, spent).most_common(MAX_SPENDERS):
        action = client_limits_pb2.BudgetOverrun.Action.Name(one.action(seconds))
        answer.spent.add(client=client, compute_s=seconds, action=action)
    return answer


def to_overruns(found: Sequence[Overrun]) -> list[client_limits_pb2.BudgetOverrun]:
    """Return what data planes are sent."""
    return [
        client_limits_pb2.BudgetOverrun(
            client=one.client,
            model=one.model,
            action=client_limits_pb2.BudgetOverrun.Action.Name(one.action),
            expire_time=stamp(one.until),
        )
        for one in found
    ]


def page(request: usage_pb2.TakeOverRequest) -> Page:
    """Return a page of what a monitor of 0.1.0 had. Raises InvalidArgument."""
    wrong: list[FieldViolation] = []
    if request.page < 1:
        wrong.append(FieldViolation("page", f"{request.page} is below 1"))
    for index, one in enumerate(request.usage_hours):
        wrong.extend(
            FieldViolation(f"usage_hours[{index}].use.{field}", description) for field, description in _wrong(one.use)
        )
    for field, rows in (("usage_hours", request.usage_hours), ("pool_hours", request.pool_hours)):
        if not all(0 <= one.hour_s <= _LAST_HOUR_S for one in rows):
            wrong.append(FieldViolation(field, "has an hour that is not between the years 1970 and 9999"))
    refuse(wrong)
    return Page(
        request.page,
        [
            (_hour(one.hour_s), one.pool, *(getattr(one.use, field) for field in (*_NAMES, "priority", *_COUNTS)))
            for one in request.usage_hours
        ],
        [(_hour(one.hour_s), one.pool, one.present_us, one.busy_us) for one in request.pool_hours],
        [(one.process, one.sequence) for one in request.processes],
        [budget(one) for one in request.budgets],
        [rate_limit(one) for one in request.rate_limits],
    )


def _hour(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def stamp(time: datetime) -> Timestamp:
    """Return the message of a time."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
