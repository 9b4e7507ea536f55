"""The RPCs of UsageService: convert, call, convert."""

from __future__ import annotations

from itertools import groupby

from headrace.monitor.v1 import usage_pb2, usage_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.identity import identity, model_not_found

from headrace_monitor import names
from headrace_monitor.times import DAY
from headrace_monitor.usage import convert, idle_messages
from headrace_monitor.usage.decisions.budgets import period_at
from headrace_monitor.usage.decisions.idle import idle_pool
from headrace_monitor.usage.decisions.smaller_forms import smaller_forms
from headrace_monitor.usage.former_rate_limits import FormerRateLimits
from headrace_monitor.usage.registered_forms import RegisteredForms
from headrace_monitor.usage.store import UsageStore, sees


class UsageServicer(usage_pb2_grpc.UsageServiceServicer):
    """UsageService over its store, the registry and the router."""

    def __init__(self, store: UsageStore, rate_limits: FormerRateLimits, forms: RegisteredForms, clock: Clock) -> None:
        self._store, self._rate_limits, self._forms, self._clock = store, rate_limits, forms, clock

    async def GetUsage(self, request, context):
        span = convert.whole_hours(request.range, self._clock.now(), unset=DAY)
        model = names.model_id(request.model, "model") if request.model else ""
        if model and not identity().sees(model):
            raise model_not_found(model)
        client = convert.client(request.client)
        return convert.usage(*await self._store.used(span, model, client, identity()), span)

    async def GetIdleTime(self, request, context):
        now, aim = self._clock.now(), idle_messages.target(request)
        span = convert.whole_hours(request.range, now, unset=convert.WEEK)
        by_pool = groupby(await self._store.presence(span), key=lambda one: one.pool)
        pools = [idle_pool(list(hours), now) for _, hours in by_pool]
        used, executed_s = await self._store.used_versions(span, identity())
        forms, whole = await self._forms.of({one.model: None for one in used})
        answer = idle_messages.idle(pools, executed_s, smaller_forms(used, forms), span, aim, request.price_per_hour)
        answer.smaller_forms_unknown = not whole
        return answer

    async def PutBudget(self, request, context):
        budget = convert.budget(request.budget)
        if not sees(identity(), budget.model):
            raise model_not_found(budget.model)
        await self._store.put(budget, identity())
        return usage_pb2.PutBudgetResponse(budget=convert.to_budget(budget))

    async def ListBudgets(self, request, context):
        budgets = await self._store.budgets()
        now, spent = await self._store.spent({one.period for one in budgets})
        return usage_pb2.ListBudgetsResponse(
            budgets=[
                convert.to_spent(one, budgets, spent[one.period], period_at(one.period, now))
                for one in budgets
                if sees(identity(), one.model)
            ]
        )

    async def DeleteBudget(self, request, context):
        await self._store.delete(convert.budget_name(request.name, "name"), identity())
        return usage_pb2.DeleteBudgetResponse()

    async def PutRateLimit(self, request, context):
        return await self._rate_limits.call("PutRateLimit", request)

    async def ListRateLimits(self, request, context):
        return await self._rate_limits.call("ListRateLimits", request)

    async def DeleteRateLimit(self, request, context):
        return await self._rate_limits.call("DeleteRateLimit", request)
