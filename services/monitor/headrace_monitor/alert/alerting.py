"""What callers may do with alerts of the models that they may see, and what services report."""

from __future__ import annotations

from headrace_servicekit.errors import Aborted, NotFound, refuse
from headrace_servicekit.identity import Identity, model_not_found

from headrace_monitor.alert.decisions import transitions
from headrace_monitor.alert.decisions.reporting import Report, report_violations
from headrace_monitor.alert.decisions.values import AlertView
from headrace_monitor.alert.reporters import take_report
from headrace_monitor.alert.store import AlertStore

# Below what PostgreSQL can count to, above every alert.
_NEWEST = 2**63 - 1


class Alerting:
    """The use cases of alerts."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def alerts(
        self, caller: Identity, *, before: int | None, model: str, is_open: bool | None, size: int
    ) -> list[AlertView]:
        """Return up to `size` alerts below an id, the latest first. Raises NotFound for a model that is not seen."""
        if model and not caller.sees(model):
            raise model_not_found(model)
        found: list[AlertView] = []
        last = _NEWEST if before is None else before
        while len(found) < size:
            page = await self._store.alerts(before=last, model=model or None, is_open=is_open, limit=size)
            found += [one for one in page if caller.sees(one.alert.key.model)]
            if len(page) < size:
                break
            last = page[-1].alert.id or 0
        return found[:size]

    async def resolve(self, number: int, caller: Identity) -> AlertView:
        """End an alert by hand. Repeating it is safe. Raises NotFound."""
        async with self._store.transaction() as transaction:
            alert = await transaction.alert(number)
            if alert is None or not caller.sees(alert.key.model):
                raise _alert_not_found(number)
            if alert.open:
                state = await transaction.of_versions([(alert.key.model, alert.key.version)])
                transitions.resolve(alert, state, transaction.now)
                await transaction.save(state)
        shown = await self._store.alert(number)
        if shown is None:
            raise _alert_not_found(number)
        return shown

    async def report(self, report: Report) -> None:
        """Take all that a service finds wrong. Repeating it is safe. Raises Aborted: another process leads."""
        refuse(list(report_violations(report)), reason="ALERT_REPORT_INVALID")
        async with self._store.transaction() as transaction:
            if not await take_report(transaction, report):
                raise Aborted(
                    f"reports of a later leader of '{report.reporter}' hold: report no more",
                    reason="REPORTER_SUPERSEDED",
                )


def _alert_not_found(number: int) -> NotFound:
    return NotFound(f"alert {number} not found", reason="ALERT_NOT_FOUND", metadata={"alert": str(number)})
