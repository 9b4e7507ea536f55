"""Judges what was observed, again and again: one replica at a time, every observation once, whoever dies over it."""

from __future__ import annotations

from datetime import timedelta

import structlog
from headrace_servicekit.errors import Unavailable

from headrace_monitor.alerts import judging
from headrace_monitor.alerts.changing import Changing
from headrace_monitor.alerts.looks import span
from headrace_monitor.alerts.observations import Observation
from headrace_monitor.alerts.store import AlertStore

log = structlog.get_logger()

# Observations in one transaction: few enough to be done within a second, with what their rules look back at.
CHUNK = 200

KEEP_OBSERVATIONS = timedelta(days=2)
KEEP_SERIES = timedelta(days=14)
KEEP_ALERTS = timedelta(days=90)


class Evaluation:
    """What is done every second, and what is done every hour."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def step(self) -> None:
        """Judge everything that waits. While the database is away nothing happens: health tells that."""
        try:
            while await self._judge_some():
                pass
        except Unavailable as error:
            log.debug("alerts are not judged", problem=str(error))

    async def forget(self) -> None:
        """Remove what is over and old."""
        try:
            while await self._store.forget(observations=KEEP_OBSERVATIONS, series=KEEP_SERIES, alerts=KEEP_ALERTS):
                pass
        except Unavailable as error:
            log.debug("old alerts are not removed", problem=str(error))

    async def _judge_some(self) -> bool:
        """Judge a chunk in one transaction; return whether there is more."""
        async with self._store.changing_if_free() as changing:
            if changing is None:
                return False
            await changing.end_silences()
            if await judge_some(changing):
                return True
            # Not while something waits: what is judged late has not gone quiet.
            quiet = await changing.gone_quiet()
            judging.find_quiet(quiet, changing.now)
            await changing.settle(quiet)
            return False


async def judge_some(changing: Changing) -> bool:
    """Judge what waits, up to a chunk, by the rules that there are; return whether more may wait."""
    chunk = await changing.to_judge(CHUNK)
    if chunk:
        await _judge(changing, [one for _, one in chunk])
        await changing.mark_judged([number for number, _ in chunk])
    return len(chunk) == CHUNK


async def _judge(changing: Changing, chunk: list[Observation]) -> None:
    rules = await changing.rules()
    signals = {rule.signal for rule in rules}
    judged = [one for one in chunk if one.signal in signals]
    if not judged:
        return
    standing = await changing.of_versions((one.model, one.version) for one in judged)
    reach = {signal: max(span(rule) for rule in rules if rule.signal == signal) for signal in signals}
    earlier = await changing.earlier(judged, reach)

    def before(one: Observation) -> list[Observation]:
        start = one.window_end - reach[one.signal]
        found = earlier.get((one.model, one.version, one.signal), [])
        return [other for other in found if start < other.window_end < one.window_end]

    judging.judge(rules, standing, judged, before, changing.now)
    await changing.settle(standing)
