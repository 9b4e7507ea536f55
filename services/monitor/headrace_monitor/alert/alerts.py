"""What callers may do with alerts, rules and silences of the models that they may see, and what services report."""

from __future__ import annotations

from dataclasses import replace

from headrace_servicekit.errors import Aborted, AlreadyExists, NotFound, refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity, model_not_found

from headrace_monitor.alert.decisions import transitions
from headrace_monitor.alert.decisions.reports import Report, apply_report, report_violations
from headrace_monitor.alert.decisions.validation import MAX_RULES, MAX_SILENCES, rule_violations, silence_violations
from headrace_monitor.alert.decisions.values import AlertView, Rule, Silence
from headrace_monitor.alert.evaluator import evaluate_pending
from headrace_monitor.alert.store import AlertStore, AlertTransaction

_SILENCES = Pool("silences", MAX_SILENCES, "TOO_MANY_SILENCES", retry_after_s=60.0)
_RULES = Pool("alert rules", MAX_RULES, "TOO_MANY_ALERT_RULES", retry_after_s=60.0)
# Below what PostgreSQL can count to, above every alert.
_NEWEST = 2**63 - 1


class Alerts:
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


async def take_report(transaction: AlertTransaction, report: Report) -> bool:
    """Store a report, and raise and resolve alerts by it; return False where one of a higher epoch holds."""
    epoch = await transaction.epoch_of(report.reporter)
    if epoch is not None and epoch > report.epoch:
        return False
    before, state = await transaction.reported(report.reporter)
    apply_report(report, state, before, transaction.now)
    await transaction.save(state)
    await transaction.keep_report(report)
    return True


class Rules:
    """The use cases of alert rules. Of two writers of one name the last one counts."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def put(self, rule: Rule, caller: Identity, *, validate_only: bool = False) -> Rule:
        """Make a rule or replace the one of its name; alerts that it no longer speaks of are resolved.

        It judges what is observed from now on: what waits is judged before, by the rules that were there.
        """
        refuse(rule_violations(rule), reason="ALERT_RULE_INVALID")
        async with self._store.transaction(validate_only=validate_only) as transaction:
            while await evaluate_pending(transaction):
                pass
            before = await transaction.rule(rule.name)
            if before is None:
                _RULES.admit(*await transaction.count_rules(caller.client), caller)
            if before is not None and not caller.sees(before.model):
                raise AlreadyExists(
                    f"the name '{rule.name}' of an alert rule is taken: choose another", reason="NAME_TAKEN"
                )
            stored = await transaction.put_rule(rule, caller.client)
            state = await transaction.of_rule(rule.name)
            transitions.change_rule(stored, state, transaction.now)
            await transaction.save(state)
        return stored

    async def list(self, caller: Identity) -> list[Rule]:
        """Return the rules, by name."""
        return [rule for rule in await self._store.rules() if caller.sees(rule.model)]

    async def delete(self, name: str, caller: Identity) -> None:
        """Remove a rule and resolve its alerts. One that is not there, or not to be seen, is gone already."""
        async with self._store.transaction() as transaction:
            rule = await transaction.rule(name)
            if rule is None or not caller.sees(rule.model):
                return
            while await evaluate_pending(transaction):
                pass
            state = await transaction.of_rule(name)
            transitions.delete_rule(name, state, transaction.now)
            await transaction.save(state)
            await transaction.delete_rule(name)


class Silences:
    """The use cases of silences."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def put(self, silence: Silence, caller: Identity) -> Silence:
        """Suppress notifications of matching alerts for a time."""
        async with self._store.transaction() as transaction:
            refuse(silence_violations(silence, transaction.now), reason="SILENCE_INVALID")
            _SILENCES.admit(*await transaction.count_silences(caller.client), caller)
            return await transaction.add_silence(replace(silence, client=caller.client))

    async def list(self, caller: Identity) -> list[Silence]:
        """Return the silences in force."""
        return [silence for silence in await self._store.silences() if caller.sees(silence.model)]

    async def delete(self, key: str, caller: Identity) -> None:
        """End a silence. One that is not there, or not to be seen, is over already."""
        async with self._store.transaction() as transaction:
            silence = await transaction.silence(int(key))
            if silence is not None and caller.sees(silence.model):
                await transaction.end_silence(silence)
