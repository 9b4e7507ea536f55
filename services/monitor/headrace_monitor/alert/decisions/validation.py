"""Validate rules, silences and webhooks: pure functions that name each wrong field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.outbox.events import Format
from headrace_servicekit.resource_names import ID_RULE, is_id, shown
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.signals import GRADED, SIGNALS
from headrace_monitor.alert.decisions.values import Rule, Silence, Webhook
from headrace_monitor.alert.observations import EVERY_MODEL

MAX_RULES = 1_000
MAX_SILENCES = 1_000

MAX_HOLD = timedelta(days=7)
MIN_WINDOW, MAX_WINDOW = timedelta(minutes=1), timedelta(days=1)
MAX_SILENCE = timedelta(days=366)
MAX_COMMENT_CHARS = 1_000
MAX_ROWS = 2**62


def rule_violations(rule: Rule) -> list[FieldViolation]:
    """Return what is wrong with a rule."""
    found = [*_model(rule.model, "rule.model")]
    if rule.signal not in SIGNALS:
        known = ", ".join(SIGNALS)
        found.append(FieldViolation("rule.signal", f"{shown(rule.signal)} is not a signal; choose one of {known}"))
    elif rule.signal in GRADED:
        found += _graded(rule)
    else:
        found += _valued(rule)
    if rule.severity is Severity.NONE:
        found.append(
            FieldViolation("rule.severity", "NONE is no severity of an alert; leave it unset for what was found")
        )
    if not timedelta() <= rule.hold <= MAX_HOLD:
        found.append(FieldViolation("rule.hold", f"must be between 0 and {MAX_HOLD.days} days"))
    if not 0 <= rule.min_rows <= MAX_ROWS:
        found.append(FieldViolation("rule.min_rows", "must not be negative; 0 takes any number of predictions"))
    return found


def _graded(rule: Rule) -> Iterator[FieldViolation]:
    if rule.at_least in (None, Severity.NONE):
        yield FieldViolation(
            "rule.at_least", f"{rule.signal} needs the severity from which the rule holds: LOW or worse"
        )
    for field in ("above", "below"):
        if getattr(rule, field) is not None:
            yield FieldViolation(f"rule.{field}", f"{rule.signal} is judged by severity: give at_least instead")
    if rule.window is not None:
        yield FieldViolation("rule.window", f"{rule.signal} is evaluated over windows of its own: leave it unset")


def _valued(rule: Rule) -> Iterator[FieldViolation]:
    if rule.at_least is not None:
        yield FieldViolation("rule.at_least", f"{rule.signal} is judged by its value: give above or below instead")
    if rule.above is None and rule.below is None:
        yield FieldViolation("rule.above", "give above or below: from which value does the rule hold?")
    if rule.above is not None and rule.below is not None:
        yield FieldViolation("rule.below", "above is given as well: make two rules of it")
    for field in ("above", "below"):
        bound = getattr(rule, field)
        if bound is not None and not math.isfinite(bound):
            yield FieldViolation(f"rule.{field}", f"{bound} is not a finite number")
    if rule.window is not None and not MIN_WINDOW <= rule.window <= MAX_WINDOW:
        yield FieldViolation("rule.window", "must be between 1 minute and 1 day; unset means 5 minutes")


def silence_violations(silence: Silence, now: datetime) -> list[FieldViolation]:
    """Return what is wrong with a silence."""
    found = [*_model(silence.model, "silence.model")]
    if silence.rule and not (is_id(silence.rule) or _is_reported(silence.rule)):
        found.append(FieldViolation("silence.rule", f"{shown(silence.rule)} is not the id of a rule; empty means each"))
    if silence.expire_time <= now:
        found.append(FieldViolation("silence.expire_time", "has passed; give a time to come"))
    elif silence.expire_time > now + MAX_SILENCE:
        found.append(FieldViolation("silence.expire_time", f"is more than {MAX_SILENCE.days} days ahead"))
    if len(silence.comment) > MAX_COMMENT_CHARS or "\0" in silence.comment:
        problem = f"must be text of at most {MAX_COMMENT_CHARS} characters, without NUL"
        found.append(FieldViolation("silence.comment", problem))
    return found


def _is_reported(rule: str) -> bool:
    """Return whether this is the rule of alerts that a service reports: `{service}/{kind}`."""
    return rule.count("/") == 1 and all(map(is_id, rule.split("/")))


def webhook_violations(webhook: Webhook) -> Iterator[FieldViolation]:
    """Yield what is wrong with what only webhooks of the monitor have."""
    if webhook.retrain_only and webhook.format is not Format.CLOUD_EVENT:
        problem = "requests to train again are CloudEvents: use FORMAT_CLOUD_EVENT"
        yield FieldViolation("webhook.retrain_only", problem)


def _model(model: str, field: str) -> Iterator[FieldViolation]:
    if not is_id(model) and model != EVERY_MODEL:
        yield FieldViolation(field, f"{shown(model)} is not the id of a model ({ID_RULE}); `*` means every model")
