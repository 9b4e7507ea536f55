"""What callers may do with alert rules of the models that they may see."""

from __future__ import annotations

from headrace_servicekit.errors import AlreadyExists, refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity

from headrace_monitor.alert.decisions import transitions
from headrace_monitor.alert.decisions.validation import MAX_RULES, rule_violations
from headrace_monitor.alert.decisions.values import Rule
from headrace_monitor.alert.evaluator import evaluate_pending
from headrace_monitor.alert.store import AlertStore

_RULES = Pool("alert rules", MAX_RULES, "TOO_MANY_ALERT_RULES", retry_after_s=60.0)


class Rules:
    """The use cases of alert rules. Of two writers of one name the last one counts."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store

    async def put(self, rule: Rule, caller: Identity) -> Rule:
        """Make a rule or replace the one of its name; alerts that it no longer speaks of are resolved.

        It judges what is observed from now on: what waits is judged before, by the rules that were there.
        """
        refuse(rule_violations(rule), reason="ALERT_RULE_INVALID")
        async with self._store.transaction() as transaction:
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
