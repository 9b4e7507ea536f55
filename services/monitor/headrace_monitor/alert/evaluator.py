"""Evaluate alert rules on new observations: one replica at a time, each observation once, also across crashes."""

from __future__ import annotations

from datetime import timedelta

import structlog
from headrace_servicekit.errors import Unavailable

from headrace_monitor.alert.decisions import transitions
from headrace_monitor.alert.decisions.conditions import rule_window
from headrace_monitor.alert.decisions.reports import end_report
from headrace_monitor.alert.observations import Observation
from headrace_monitor.alert.store import AlertStore, AlertTransaction

log = structlog.get_logger()

# Observations of one transaction: few enough to finish within a second, earlier ones that rules need included.
CHUNK = 200

KEEP_OBSERVATIONS = timedelta(days=2)
KEEP_SERIES = timedelta(days=14)
KEEP_ALERTS = timedelta(days=90)


class RuleEvaluator:
    """Evaluates rules every second and expires old rows every hour."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def step(self) -> None:
        """Evaluate all pending observations. Do nothing while the database is away: the health check reports that."""
        try:
            while await self._evaluate_pending():
                pass
        except Unavailable as error:
            log.debug("alert rules not evaluated", problem=str(error))

    async def expire(self) -> None:
        """Delete old observations, series and resolved alerts."""
        try:
            while await self._store.expire(observations=KEEP_OBSERVATIONS, series=KEEP_SERIES, alerts=KEEP_ALERTS):
                pass
        except Unavailable as error:
            log.debug("old alerts not expired", problem=str(error))

    async def _evaluate_pending(self) -> bool:
        """Evaluate one chunk in a transaction; return whether there is more."""
        async with self._store.transaction_if_free() as transaction:
            if transaction is None:
                return False
            await transaction.end_silences()
            await end_silent_reporters(transaction)
            if await evaluate_pending(transaction):
                return True
            # Only once nothing is pending: a series whose data are late has not gone quiet.
            quiet = await transaction.gone_quiet()
            transitions.mark_quiet(quiet, transaction.now)
            await transaction.save(quiet)
            return False


async def evaluate_pending(transaction: AlertTransaction) -> bool:
    """Evaluate up to one chunk of pending observations by the present rules; return whether there may be more."""
    chunk = await transaction.pending_observations(CHUNK)
    if chunk:
        await _apply(transaction, [one for _, one in chunk])
        await transaction.mark_evaluated([number for number, _ in chunk])
    return len(chunk) == CHUNK


async def _apply(transaction: AlertTransaction, chunk: list[Observation]) -> None:
    rules = await transaction.rules()
    signals = {rule.signal for rule in rules}
    judged = [one for one in chunk if one.signal in signals]
    if not judged:
        return
    state = await transaction.of_versions((one.model, one.version) for one in judged)
    reach = {signal: max(rule_window(rule) for rule in rules if rule.signal == signal) for signal in signals}
    earlier = await transaction.earlier(judged, reach)

    def before(one: Observation) -> list[Observation]:
        start = one.window_end - reach[one.signal]
        found = earlier.get((one.model, one.version, one.signal), [])
        return [other for other in found if start < other.window_end < one.window_end]

    transitions.apply_observations(rules, state, judged, before, transaction.now)
    await transaction.save(state)


async def end_silent_reporters(transaction: AlertTransaction) -> None:
    """Resolve what was reported by services that report no more."""
    for reporter in await transaction.silent_reporters():
        _, state = await transaction.reported(reporter)
        end_report(state, transaction.now)
        await transaction.save(state)
        await transaction.forget_reporter(reporter)
