"""How much a client may use, and what becomes of one that uses more. Pure."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.times import DAY, HOUR, Span

from headrace_router.control.decisions.rate_limits import EVERY_MODEL, scope_violations

MAX_BUDGETS = 1_000
# Data planes hear of all of them every second.
MAX_OVERRUNS = 2_000
# A thousand replicas for a month, and more than an integer of microseconds needs.
MAX_SECONDS = 1e10
EVERYBODY = "*"


class Period(enum.IntEnum):
    """For how long a budget is: numbers as in the API."""

    HOUR = 1
    DAY = 2
    WEEK = 3
    MONTH = 4


class Action(enum.IntEnum):
    """What becomes of a client's requests: numbers as in the API, the hardest last."""

    NONE = 0
    LOWER = 1
    REFUSE = 2


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of executions that a client may use in a period. refuse_above_s: 0 never refuses."""

    name: str
    client: str
    model: str
    period: Period
    compute_s: float
    refuse_above_s: float

    def action(self, spent_s: float) -> Action:
        """Return what follows from what was spent."""
        if self.refuse_above_s and spent_s > self.refuse_above_s:
            return Action.REFUSE
        return Action.LOWER if spent_s > self.compute_s else Action.NONE


class Overrun(NamedTuple):
    """A client that has spent more than a budget lets it. model: empty for all. until: the period's end."""

    client: str
    model: str
    action: Action
    until: datetime


Spent = Mapping[str, Mapping[str, float]]
"""Seconds by client, of each by model."""


def period_at(period: Period, now: datetime) -> Span:
    """Return the period of UTC that a time is in."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.HOUR:
        start = now.replace(minute=0, second=0, microsecond=0)
        return Span(start, start + HOUR)
    if period is Period.DAY:
        return Span(day, day + DAY)
    if period is Period.WEEK:
        start = day - timedelta(days=day.weekday())
        return Span(start, start + 7 * DAY)
    start = day.replace(day=1)
    return Span(start, (start + 32 * DAY).replace(day=1))


def spending(budget: Budget, budgets: Sequence[Budget], spent: Spent) -> Counter[str]:
    """Return the seconds that each client has spent of a budget. spent: in its present period. budgets: all."""
    clients: Iterable[str] = (budget.client,)
    if budget.client == EVERYBODY:
        named = {one.client for one in budgets if one.model == budget.model}
        clients = [client for client in spent if client and client not in named]
    found: Counter[str] = Counter()
    for client in clients:
        models = spent.get(client, {})
        seconds = sum(models.values()) if budget.model == EVERY_MODEL else models.get(budget.model, 0.0)
        if seconds:
            found[client] = seconds  # type: ignore[assignment]
    return found


def overruns(budgets: Sequence[Budget], spent: Mapping[Period, Spent], now: datetime) -> list[Overrun]:
    """Return who has spent too much: of several budgets of one client and model, what the hardest asks for.

    Of more than are sent, those who are to be refused, and of these who spent the most.
    """
    found: dict[tuple[str, str], tuple[Overrun, float]] = {}
    for budget in budgets:
        until = period_at(budget.period, now).end
        model = "" if budget.model == EVERY_MODEL else budget.model
        for client, seconds in spending(budget, budgets, spent[budget.period]).items():
            one = Overrun(client, model, budget.action(seconds), until)
            before = found.get((client, model))
            if one.action and (before is None or (one.action, one.until) > (before[0].action, before[0].until)):
                found[client, model] = one, seconds
    if len(found) > MAX_OVERRUNS:
        worst = sorted(found, key=lambda key: (-found[key][0].action, -found[key][1], key))[:MAX_OVERRUNS]
        return [found[key][0] for key in sorted(worst)]
    return [found[key][0] for key in sorted(found)]


def budget_violations(budget: Budget) -> Iterator[FieldViolation]:
    """Yield what is wrong with a budget."""
    yield from scope_violations("budget", budget.client, budget.model)
    if not (math.isfinite(budget.compute_s) and 0 <= budget.compute_s <= MAX_SECONDS):
        yield FieldViolation("budget.compute_s", f"must be between 0 and {MAX_SECONDS:g} seconds")
    limit = budget.refuse_above_s
    if not (limit == 0 or (math.isfinite(limit) and budget.compute_s <= limit <= MAX_SECONDS)):
        yield FieldViolation("budget.refuse_above_s", "must be 0, which never refuses, or compute_s or more")
