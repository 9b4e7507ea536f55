"""What callers may do: rules, alerts, silences and webhooks of the models that they may see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headrace_servicekit.errors import Aborted, AlreadyExists, FieldViolation, NotFound, refuse
from headrace_servicekit.fair_share import Pool
from headrace_servicekit.identity import Identity, model_not_found
from headrace_servicekit.outbox.destinations import RefusedError
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.outbox.resolving import Guard

from headrace_monitor.alert.decisions import transitions
from headrace_monitor.alert.decisions.reporting import Report, report_violations
from headrace_monitor.alert.decisions.validation import (
    MAX_RULES,
    MAX_SILENCES,
    MAX_WEBHOOKS,
    rule_violations,
    silence_violations,
    webhook_violations,
)
from headrace_monitor.alert.decisions.values import AlertView, Rule, Silence, Webhook, WebhookStatus
from headrace_monitor.alert.evaluator import evaluate_pending
from headrace_monitor.alert.observations import EVERY_MODEL
from headrace_monitor.alert.reporters import take_report
from headrace_monitor.alert.store import AlertStore

# Below what PostgreSQL can count to, above every alert.
_NEWEST = 2**63 - 1

_RULES = Pool("alert rules", MAX_RULES, "TOO_MANY_ALERT_RULES", retry_after_s=60.0)
_SILENCES = Pool("silences", MAX_SILENCES, "TOO_MANY_SILENCES", retry_after_s=60.0)
_WEBHOOKS = Pool("webhooks", MAX_WEBHOOKS, "TOO_MANY_WEBHOOKS", retry_after_s=60.0)


class Alerting:
    """The use cases behind AlertService. Of two writers of one name the last one counts."""

    def __init__(self, store: AlertStore, guard: Guard) -> None:
        self._store, self._guard = store, guard

    async def put_rule(self, rule: Rule, caller: Identity) -> Rule:
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
                raise _taken("alert rule", rule.name)
            kept = await transaction.put_rule(rule, caller.client)
            state = await transaction.of_rule(rule.name)
            transitions.change_rule(kept, state, transaction.now)
            await transaction.save(state)
        return kept

    async def delete_rule(self, name: str, caller: Identity) -> None:
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

    async def rules(self, caller: Identity) -> list[Rule]:
        """Return the rules, by name."""
        return [rule for rule in await self._store.rules() if caller.sees(rule.model)]

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

    async def silence(self, silence: Silence, caller: Identity) -> Silence:
        """Suppress notifications of matching alerts for a time."""
        async with self._store.transaction() as transaction:
            refuse(silence_violations(silence, transaction.now), reason="SILENCE_INVALID")
            _SILENCES.admit(*await transaction.count_silences(caller.client), caller)
            return await transaction.add_silence(silence)

    async def silences(self, caller: Identity) -> list[Silence]:
        """Return the silences in force."""
        return [silence for silence in await self._store.silences() if caller.sees(silence.model)]

    async def end_silence(self, number: int, caller: Identity) -> None:
        """End a silence. One that is not there, or not to be seen, is over already."""
        async with self._store.transaction() as transaction:
            silence = await transaction.silence(number)
            if silence is not None and caller.sees(silence.model):
                await transaction.end_silence(silence)

    async def put_webhook(self, webhook: Webhook, caller: Identity) -> WebhookStatus:
        """Make a webhook or replace the one of its name. Without a secret the one before stays, for the same URL."""
        self._check_sees(caller, webhook)
        misplaced = await self._misplaced(webhook.url)  # before it is our turn: others need not wait for names
        async with self._store.transaction() as transaction:
            before = await transaction.webhook(webhook.name)
            if before is not None and not _sees(caller)(before):
                raise _taken("webhook", webhook.name)
            if before is None:
                _WEBHOOKS.admit(*await transaction.count_webhooks(caller.client), caller)
            # Not for another URL: who may write webhooks would have a routing key sent to a place of their own.
            if before is not None and not webhook.secret and _place(before) == _place(webhook):
                webhook = replace(webhook, secret=before.secret)
            refuse([*misplaced, *webhook_violations(webhook)], reason="WEBHOOK_INVALID")
            await transaction.put_webhook(webhook, caller.client)
        kept = [status for status in await self._store.webhooks() if status.webhook.name == webhook.name]
        return kept[0] if kept else WebhookStatus(webhook)

    async def _misplaced(self, url: str) -> list[FieldViolation]:
        try:
            await self._guard.check(url)
        except RefusedError as error:
            return [FieldViolation("webhook.url", str(error))]
        return []

    async def webhooks(self, caller: Identity) -> list[WebhookStatus]:
        """Return the webhooks, by name."""
        return [status for status in await self._store.webhooks() if _sees(caller)(status.webhook)]

    async def delete_webhook(self, name: str, caller: Identity) -> None:
        """Remove a webhook. One that is not there, or not to be seen, is gone already."""
        async with self._store.transaction() as transaction:
            webhook = await transaction.webhook(name)
            if webhook is not None and _sees(caller)(webhook):
                await transaction.delete_webhook(name)

    @staticmethod
    def _check_sees(caller: Identity, webhook: Webhook) -> None:
        if not _sees(caller)(webhook):
            raise model_not_found(webhook.model or EVERY_MODEL)


def _sees(caller: Identity) -> Callable[[Webhook], bool]:
    """Return who a caller may know of: a webhook of every model is for those who see every model."""
    return lambda webhook: caller.sees(webhook.model or EVERY_MODEL)


def _place(webhook: Webhook) -> tuple[str, Format]:
    return webhook.url, webhook.format


def _taken(what: str, name: str) -> AlreadyExists:
    return AlreadyExists(f"the name '{name}' of an {what} is taken: choose another", reason="NAME_TAKEN")


def _alert_not_found(number: int) -> NotFound:
    return NotFound(f"alert {number} not found", reason="ALERT_NOT_FOUND", metadata={"alert": str(number)})
