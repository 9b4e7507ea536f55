"""The events that webhooks get about an experiment, and which of them get which. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from headrace_servicekit.outbox.events import Event, Format
from headrace_statistics.experiments import analysis
from headrace_statistics.severity import Severity

from headrace_monitor.alert.decisions.values import Webhook
from headrace_monitor.judge.experiments.decisions.definitions import Experiment, State

SOURCE = "/headrace/monitor"


class Kind(StrEnum):
    """The kind of an event; webhooks receive each kind once per experiment."""

    STARTED = "started"
    ENDED = "ended"
    STOPPED = "stopped"
    SHARES_WRONG = "shares_wrong"
    GUARDRAIL_HARMED = "guardrail_harmed"


ALARMS = {
    analysis.State.SHARES_WRONG: Kind.SHARES_WRONG,
    analysis.State.GUARDRAIL_HARMED: Kind.GUARDRAIL_HARMED,
}
_ENDS = frozenset({Kind.ENDED, Kind.STOPPED})
_HEADLINES = {
    Kind.STARTED: "Experiment started",
    Kind.ENDED: "Experiment ended",
    Kind.STOPPED: "Experiment stopped",
    Kind.SHARES_WRONG: "Experiment with wrong shares",
    Kind.GUARDRAIL_HARMED: "Experiment harms a guardrail",
}
_LEVELS = {Kind.SHARES_WRONG: "error", Kind.GUARDRAIL_HARMED: "critical", Kind.STOPPED: "warning"}


def happened(before: Experiment, after: Experiment) -> Kind | None:
    """Return the kind of a state change; None if the state is the same."""
    if before.state is after.state:
        return None
    if after.state is State.RUNNING:
        return Kind.STARTED
    return Kind.STOPPED if after.stopped else Kind.ENDED


def concerns(webhook: Webhook, kind: Kind, model: str) -> bool:
    """Return whether a webhook receives an event: every webhook of the model gets alarms, others only on request.

    PagerDuty receives alarms and their resolution.
    """
    if webhook.retrain_only or webhook.model not in ("", model):
        return False
    if kind in ALARMS.values():
        return webhook.at_least <= Severity.HIGH
    if webhook.format is Format.PAGERDUTY:
        return kind in _ENDS
    return webhook.at_least is Severity.NONE


def body_of(experiment: Experiment, kind: Kind, reason: str, variant: str = "") -> str:
    """Return what a delivery carries: what the event's `data` says, named as in the REST API."""
    return json.dumps(
        {
            "name": f"models/{experiment.model}/experiments/{experiment.id}",
            "model": experiment.model,
            "event": kind.value,
            "state": f"STATE_{experiment.state.name}",
            "stopped": experiment.stopped,
            "hypothesis": experiment.definition.hypothesis,
            "owner": experiment.owner,
            "variant": variant,
            "reason": reason,
        }
    )


def event_of(delivery: UUID, body: str, time: datetime) -> Event:
    """Return what happened to an experiment, as it was then."""
    data = json.loads(body)
    kind = Kind(data.pop("event"))
    return Event(
        delivery,
        SOURCE,
        f"headrace.experiment.{kind}",
        data["name"],
        time,
        data,
        headline=_HEADLINES[kind],
        about=data["name"].rpartition("/")[2] + f" of {data['model']}",
        summary=data["reason"] or _HEADLINES[kind],
        incident=f"headrace/{data['name']}",
        ends=kind in _ENDS,
        level=_LEVELS.get(kind, "info"),
        origin=data["model"],
        component=data["variant"] or data["model"],
        category="experiment",
    )
