"""The RPCs of UsageService, BudgetService and RateLimitService: convert, call, convert."""

from __future__ import annotations

from itertools import groupby

from headrace.router.v1 import (
    budget_pb2,
    budget_pb2_grpc,
    client_limits_pb2,
    client_limits_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity, model_not_found
from headrace_servicekit.resource_names import ids
from headrace_servicekit.times import DAY

from headrace_router.control.messages.rate_limits import rate_limit, rate_limit_name, to_rate_limit
from headrace_router.control.state.client_limits import ClientLimitFeed
from headrace_router.control.storage.rate_limits import RateLimitStore, sees
from headrace_router.control.usage import convert
from headrace_router.control.usage.decisions.budgets import period_at
from headrace_router.control.usage.decisions.idle import idle_pool
from headrace_router.control.usage.decisions.smaller_forms import smaller_forms
from headrace_router.control.usage.registered_forms import RegisteredForms
from headrace_router.control.usage.store import UsageStore


class UsageServicer(usage_pb2_grpc.UsageServiceServicer):
    """UsageService over its store and the registry."""

    def __init__(self, store: UsageStore, forms: RegisteredForms, clock: Clock) -> None:
        self._store, self._forms, self._clock = store, forms, clock

    async def ReportUsage(self, request, context):
        await self._store.add(convert.report(request))
        return usage_pb2.ReportUsageResponse()

    async def TakeOver(self, request, context):
        await self._store.take_over(convert.page(request))
        return usage_pb2.TakeOverResponse()

    async def GetUsage(self, request, context):
        span = convert.whole_hours(request.range, self._clock.now(), unset=DAY)
        model = ids(request.model, "model", "models/{model}")[0] if request.model else ""
        if model and not identity().sees(model):
            raise model_not_found(model)
        client = convert.client(request.client)
        return convert.usage(*await self._store.used(span, model, client, identity()), span)

    async def GetIdleTime(self, request, context):
        now, aim = self._clock.now(), convert.target_utilisation(request)
        span = convert.whole_hours(request.range, now, unset=convert.WEEK)
        by_pool = groupby(await self._store.presence(span), key=lambda one: one.pool)
        pools = [idle_pool(list(hours), now) for _, hours in by_pool]
        used, executed_s = await self._store.used_versions(span, identity())
        forms, whole = await self._forms.of({one.model: None for one in used})
        answer = convert.idle_time(pools, executed_s, smaller_forms(used, forms), span, aim, request.price_per_hour)
        answer.smaller_forms_unknown = not whole
        return answer


class BudgetServicer(budget_pb2_grpc.BudgetServiceServicer):
    """BudgetService over the store. feed: of those who watch, who hear of a change at once."""

    def __init__(self, store: UsageStore, feed: ClientLimitFeed) -> None:
        self._store, self._feed = store, feed

    async def PutBudget(self, request, context):
        budget = convert.budget(request.budget)
        if not sees(identity(), budget.model):
            raise model_not_found(budget.model)
        await self._store.put(budget, identity(), validate_only=request.validate_only)
        await self._feed.read()
        return budget_pb2.PutBudgetResponse(budget=convert.to_budget(budget))

    async def ListBudgets(self, request, context):
        budgets = await self._store.budgets()
        now, spent = await self._store.spent({one.period for one in budgets})
        return budget_pb2.ListBudgetsResponse(
            budgets=[
                convert.to_spent(one, budgets, spent[one.period], period_at(one.period, now))
                for one in budgets
                if sees(identity(), one.model)
            ]
        )

    async def DeleteBudget(self, request, context):
        await self._store.delete(convert.budget_name(request.name, "name"), identity())
        await self._feed.read()
        return budget_pb2.DeleteBudgetResponse()


class RateLimitServicer(client_limits_pb2_grpc.RateLimitServiceServicer):
    """RateLimitService over the store. feed: of those who watch, who hear of a change at once."""

    def __init__(self, store: RateLimitStore, feed: ClientLimitFeed) -> None:
        self._store, self._feed = store, feed

    async def PutRateLimit(self, request, context):
        limit = rate_limit(request.rate_limit)
        if not sees(identity(), limit.model):
            raise model_not_found(limit.model)
        await self._store.put(limit, identity(), validate_only=request.validate_only)
        await self._feed.read()
        return client_limits_pb2.PutRateLimitResponse(rate_limit=to_rate_limit(limit))

    async def ListRateLimits(self, request, context):
        known = await self._store.all()
        return client_limits_pb2.ListRateLimitsResponse(
            rate_limits=[to_rate_limit(one) for one in known if sees(identity(), one.model)]
        )

    async def DeleteRateLimit(self, request, context):
        await self._store.delete(rate_limit_name(request.name, "name"), identity())
        await self._feed.read()
        return client_limits_pb2.DeleteRateLimitResponse()
