"""Repeated answers put together: what the data plane knows of each, and when they begin and end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headrace_servicekit.runtime import Runtime

from headrace_router.data.answer.answer import Answer
from headrace_router.data.identity.callers import Callers
from headrace_router.data.plane import DataPlane
from headrace_router.data.request.request import Call, ResolvedRequest
from headrace_router.data.settings import DataSettings
from headrace_router.data.transports.envoy.filter_bridge import FilterBridge
from headrace_router.data.transports.envoy.repeated_answers import RepeatedAnswers


class AnswerSources:
    """What a data plane and the callers of one transport know (`repeated_answers.Sources`)."""

    def __init__(self, plane: DataPlane, callers: Callers) -> None:
        self._plane, self._callers = plane, callers

    def fresh(self, resolved: ResolvedRequest, found: Answer) -> tuple[float, float]:
        return self._plane.lookup.fresh(resolved, found)

    def valid_for_s(self, authorization: bytes | None) -> float:
        return self._callers.valid_for_s(authorization)

    def lease(self, client: str, model: str, tokens: int) -> int:
        if any(over == client for over, _ in self._plane.budgets.over):
            return 0
        granted = self._callers.lease(client, tokens)
        limited = self._plane.rate_limits.lease(client, model, granted)
        self._callers.give_back(client, granted - limited)
        return limited

    def give_back(self, client: str, model: str, tokens: int) -> None:
        self._callers.give_back(client, tokens)
        self._plane.rate_limits.give_back(client, model, tokens)

    def note(self, resolved: ResolvedRequest, call: Call, found: Answer, ended: float) -> None:
        self._plane.lookup.note_repeated(found)
        self._plane.predictor.note_repeated(resolved, call, found, ended)

    def pass_over(self, requests: int) -> None:
        self._plane.contexts.pass_over(requests)
        self._plane.explanations.pass_over(requests)


@contextlib.asynccontextmanager
async def repeating(
    runtime: Runtime[DataSettings], bridge: FilterBridge, plane: DataPlane, callers: Callers, most_bytes: int
) -> AsyncIterator[None]:
    """Have answers repeated by Envoy's workers, until nothing is answered any more."""
    repeated = RepeatedAnswers(bridge, AnswerSources(plane, callers), asyncio.get_running_loop(), most_bytes=most_bytes)
    runtime.metrics.register(repeated)
    plane.watcher.tables.changing = callers.changing = repeated.forget
    plane.predictor.repeat_with(repeated.observe)
    try:
        yield
    finally:
        repeated.close()
