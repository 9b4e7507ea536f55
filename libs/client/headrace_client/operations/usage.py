"""Who used batchers, what stands idle, budgets and rate limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from headrace.router.v1 import budget_pb2, client_limits_pb2, usage_pb2

from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import invalid

DEFAULT_TIMEOUT_S = 30.0


def usage(
    session: Session,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    model: str = "",
    client: str = "",
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[usage_pb2.GetUsageResponse]:
    """Return who used batchers in a time, by whole hours, the most used first; without a begin, in the last day."""
    named = f"models/{model}" if model else ""
    request = usage_pb2.GetUsageRequest(model=named, client=client)
    set_range(request.range, start, end)
    return (yield from invoke(session, usage_pb2.GetUsageResponse, request, timeout_s=timeout))


def idle_time(
    session: Session,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    price_per_hour: float = 0.0,
    target_utilisation: float | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[usage_pb2.GetIdleTimeResponse]:
    """Return what stood idle in a time, by pool, and how many replicas are enough; without a begin, in a week."""
    request = usage_pb2.GetIdleTimeRequest(price_per_hour=price_per_hour, target_utilisation=target_utilisation)
    set_range(request.range, start, end)
    return (yield from invoke(session, usage_pb2.GetIdleTimeResponse, request, timeout_s=timeout))


def put_budget(
    session: Session, budget: budget_pb2.Budget, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[budget_pb2.Budget]:
    """Make a budget, or replace the one of its name; return what is in force."""
    request = budget_pb2.PutBudgetRequest(budget=budget)
    return (yield from invoke(session, budget_pb2.PutBudgetResponse, request, timeout_s=timeout)).budget


def list_budgets(
    session: Session, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[budget_pb2.ListBudgetsResponse.SpentBudget]]:
    """Return all budgets, and who has spent of them."""
    found = yield from invoke(
        session, budget_pb2.ListBudgetsResponse, budget_pb2.ListBudgetsRequest(), timeout_s=timeout
    )
    return list(found.budgets)


def delete_budget(session: Session, budget: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a budget; repeating it is safe."""
    request = budget_pb2.DeleteBudgetRequest(name=f"budgets/{budget}")
    yield from invoke(session, budget_pb2.DeleteBudgetResponse, request, timeout_s=timeout)


def put_rate_limit(
    session: Session, rate_limit: client_limits_pb2.RateLimit, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[client_limits_pb2.RateLimit]:
    """Make a rate limit, or replace the one of its name; return what is in force."""
    request = client_limits_pb2.PutRateLimitRequest(rate_limit=rate_limit)
    return (yield from invoke(session, client_limits_pb2.PutRateLimitResponse, request, timeout_s=timeout)).rate_limit


def list_rate_limits(
    session: Session, *, timeout: float = DEFAULT_TIMEOUT_S
) -> Operation[list[client_limits_pb2.RateLimit]]:
    """Return all rate limits."""
    found = yield from invoke(
        session, client_limits_pb2.ListRateLimitsResponse, client_limits_pb2.ListRateLimitsRequest(), timeout_s=timeout
    )
    return list(found.rate_limits)


def delete_rate_limit(session: Session, rate_limit: str, *, timeout: float = DEFAULT_TIMEOUT_S) -> Operation[None]:
    """Remove a rate limit; repeating it is safe."""
    request = client_limits_pb2.DeleteRateLimitRequest(name=f"rateLimits/{rate_limit}")
    yield from invoke(session, client_limits_pb2.DeleteRateLimitResponse, request, timeout_s=timeout)


def set_range(made: Any, start: datetime | None, end: datetime | None) -> None:
    """Set `start_time` and `end_time` of a range. Raises InvalidArgument for times without a zone."""
    for moment, field, stamp in ((start, "start", made.start_time), (end, "end", made.end_time)):
        if moment is None:
            continue
        if moment.tzinfo is None:
            raise invalid(field, "has no zone: datetime.now(UTC), or .astimezone() for local time")
        stamp.FromDatetime(moment.astimezone(UTC))
