"""What a store of rules, alerts and silences does.

`postgres` and `memory` keep the same promises: tests/contract/alert_store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from headrace_servicekit.coordination.feeds import Position

from headrace_monitor.alert.decisions.reports import Report
from headrace_monitor.alert.decisions.transitions import AlertState
from headrace_monitor.alert.decisions.values import Alert, AlertView, Key, Rule, Silence
from headrace_monitor.alert.observations import Observation

# Alerts that one step marks as without data.
MAX_QUIET = 500

# Observations by model, version and signal, in the order of time.
Earlier = dict[tuple[str, str, str], list[Observation]]


class AlertTransaction(Protocol):
    """One transaction. Transactions are serialised, so what it has read does not change until its end.

    An error rolls it back.
    """

    @property
    def now(self) -> datetime:
        """Return the store's time when the transaction began: one clock for all replicas."""
        ...

    async def rules(self) -> list[Rule]:
        """Return the rules, by name."""
        ...

    async def rule(self, name: str) -> Rule | None:
        """Return a rule."""
        ...

    async def count_rules(self, client: str) -> tuple[int, int]:
        """Return how many rules there are: in all, and made by one client."""
        ...

    async def put_rule(self, rule: Rule, client: str) -> Rule:
        """Make a rule, or replace the one of its name; return it with a new revision. client: who makes it."""
        ...

    async def delete_rule(self, name: str) -> None:
        """Remove a rule with its series. Its alerts stay."""
        ...

    async def of_rule(self, name: str) -> AlertState:
        """Return the open alerts of a rule."""
        ...

    async def of_versions(self, versions: Iterable[tuple[str, str]]) -> AlertState:
        """Return the state of every rule for these versions of models."""
        ...

    async def gone_quiet(self) -> AlertState:
        """Return open alerts without data for long that are not marked as such yet, at most MAX_QUIET."""
        ...

    async def pending_observations(self, limit: int) -> list[tuple[int, Observation]]:
        """Return observations that were not evaluated yet, with their ids, in the order of time."""
        ...

    async def earlier(self, chunk: Sequence[Observation], reach: Mapping[str, timedelta]) -> Earlier:
        """Return what was observed until the end of a chunk of the same models, versions and signals.

        chunk: in the order of time. reach: how far back from the first of each, by signal.
        """
        ...

    async def mark_evaluated(self, ids: Sequence[int]) -> None:
        """Note that observations were evaluated."""
        ...

    async def alert(self, number: int) -> Alert | None:
        """Return an alert, open or not."""
        ...

    async def add_silence(self, silence: Silence) -> Silence:
        """Keep a silence; return it with its id. What it is about has changed for who watches."""
        ...

    async def silence(self, number: int) -> Silence | None:
        """Return a silence."""
        ...

    async def count_silences(self, client: str) -> tuple[int, int]:
        """Return how many silences there are: in all, and of one client."""
        ...

    async def end_silence(self, silence: Silence) -> None:
        """End a silence, and queue the notifications that it held back."""
        ...

    async def end_silences(self) -> None:
        """End the silences whose time is over, and queue the notifications that they held back."""
        ...

    async def epoch_of(self, reporter: str) -> int | None:
        """Return the epoch of a service's last report; None while none holds."""
        ...

    async def reported(self, reporter: str) -> tuple[set[Key], AlertState]:
        """Return what a service reported last, and the alerts of it that are open."""
        ...

    async def keep_report(self, report: Report) -> None:
        """Keep a report in the place of the service's last one."""
        ...

    async def silent_reporters(self) -> list[str]:
        """Return the services whose last report holds no more, by name."""
        ...

    async def forget_reporter(self, reporter: str) -> None:
        """Forget a service and what it reported. Its alerts stay."""
        ...

    async def save(self, state: AlertState) -> None:
        """Write the changed state and enqueue its notifications; a repeat enqueues none twice."""
        ...


class AlertStore(Protocol):
    """Rules, alerts and silences. Every method raises Unavailable while the store is away."""

    def transaction(self, *, validate_only: bool = False) -> AbstractAsyncContextManager[AlertTransaction]:
        """Wait for a turn, and lend the transaction; with validate_only it leaves nothing."""
        ...

    def transaction_if_free(self) -> AbstractAsyncContextManager[AlertTransaction | None]:
        """Yield a transaction; None if another replica holds the lock, since it does the same work."""
        ...

    async def rules(self) -> list[Rule]:
        """Return the rules, by name."""
        ...

    async def silences(self) -> list[Silence]:
        """Return the silences in force, the oldest first."""
        ...

    async def alert(self, number: int) -> AlertView | None:
        """Return an alert as callers see it."""
        ...

    async def alerts(self, *, before: int, model: str | None, is_open: bool | None, limit: int) -> list[AlertView]:
        """Return alerts with ids below `before`, the latest first. None for every model, and for open and resolved."""
        ...

    def open(self) -> AsyncIterator[AlertView]:
        """Yield the open alerts by id, a page in memory at a time."""
        ...

    async def changed_since(self, sequence: int, *, limit: int) -> list[AlertView]:
        """Return the alerts that changed since, in the order of their last changes."""
        ...

    async def position(self) -> Position:
        """Return the place of the last change."""
        ...

    def wakes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed, until the connection ends; then raise Unavailable."""
        ...

    async def lag_s(self) -> float:
        """Return for how long the observation that has waited longest has waited to be evaluated."""
        ...

    async def open_counts(self) -> list[tuple[str, int, int]]:
        """Return how many alerts are open, by model and severity."""
        ...

    async def expire(self, *, observations: timedelta, series: timedelta, alerts: timedelta) -> bool:
        """Remove a bounded part of what is older than that and over; return whether there may be more.

        What was not evaluated, and what is open, stays with its series.
        """
        ...
