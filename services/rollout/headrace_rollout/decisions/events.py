"""The events that webhooks get about a rollout. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.outbox import events
from headrace_servicekit.outbox.formats import time_text

from headrace_rollout.decisions.policies import percent
from headrace_rollout.decisions.rollouts import Event, Rollout

SOURCE = "/headrace/rollout"

# Severity of the events that notify on-call, and the events that resolve the incident.
_LEVELS = {"rolling_back": "critical", "rolled_back": "critical", "failed": "error", "displaced": "warning"}
_LEVELS |= {"frozen": "warning", "held": "warning", "asked": "warning"}
_ENDS = frozenset({"thawed", "agreed", "succeeded", "shadowed", "aborted"})


def event_of(delivery: UUID, event: Event, rollout: Rollout, time: datetime) -> events.Event:
    """Return the CloudEvent of a rollout event. rollout: its state when the event happened."""
    word = event.type.replace("_", " ")
    return events.Event(
        delivery,
        SOURCE,
        f"headrace.rollout.{event.type}",
        rollout.name,
        time,
        _data(event, rollout),
        headline=f"Rollout {word}",
        about=f"{rollout.model} {rollout.version}",
        summary=event.reason or word,
        incident=f"headrace/{rollout.manager}",
        ends=event.type in _ENDS,
        level=_level(event, rollout),
        origin=rollout.model,
        component=rollout.version,
        category="rollout",
    )


def _level(event: Event, rollout: Rollout) -> str:
    level = _LEVELS.get(event.type, "info")
    # A version that never answered a caller pages no one.
    return "warning" if level == "critical" and rollout.step < 0 else level


def _data(event: Event, rollout: Rollout) -> dict[str, Any]:
    """Return an event as a program reads it; names are those of the REST API."""
    data: dict[str, Any] = {
        "rollout": rollout.name,
        "model": rollout.model,
        "version": rollout.version,
        "baseline_version": rollout.baseline,
        "variant": rollout.variant,
        "state": f"STATE_{rollout.state.name}",
        "step": rollout.step,
        "percent": percent(rollout.share),
        "reason": event.reason,
        "client": event.client,
    }
    if rollout.bad_from is not None and rollout.bad_until is not None:
        data["bad_from"], data["bad_until"] = time_text(rollout.bad_from), time_text(rollout.bad_until)
    return data
