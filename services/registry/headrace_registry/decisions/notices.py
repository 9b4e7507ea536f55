"""Webhook events of a line of history. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from headrace_servicekit.outbox import events

from headrace_registry.decisions.models import Action, Event

SOURCE = "/headrace/registry"

# Severity of the actions that should page on-call, and of those that resolve the page.
_LEVELS = {Action.APPROVAL_OVERRIDDEN: "critical", Action.ROLLED_BACK: "warning"}
_LEVELS |= {Action.PROMOTION_EXPIRED: "warning", Action.PROMOTION_FAILED: "warning"}
_ENDS = frozenset(
    {
        *(Action.PROMOTION_REJECTED, Action.PROMOTION_WITHDRAWN, Action.PROMOTION_EXPIRED),
        *(Action.PROMOTION_FAILED, Action.PROMOTION_ROLLED_OUT),
    }
)


def event_of(delivery: UUID, model: str, event: Event, time: datetime) -> events.Event:
    """Return what happened to a model."""
    word = event.action.replace("_", " ")
    moved = f"{event.from_stage or 'nothing'} to {event.to_stage}" if event.to_stage is not None else ""
    asked = f"/promotionRequests/{event.promotion_request}" if event.promotion_request else ""
    return events.Event(
        delivery,
        SOURCE,
        f"headrace.registry.{event.action}",
        f"models/{model}{asked}",
        time,
        _data(model, event),
        headline=word.capitalize(),
        about=f"{model} {event.version}".strip(),
        summary=" · ".join(part for part in (moved, event.reason, f"by {event.client}" if event.client else "") if part)
        or word,
        incident=f"headrace/models/{model}{asked}",
        ends=event.action in _ENDS or (event.action is Action.STAGE_CHANGED and bool(asked)),
        level=_LEVELS.get(event.action, "info"),
        origin=model,
        component=event.version,
        category="registry",
    )


def _data(model: str, event: Event) -> dict[str, Any]:
    """Return an event as a program reads it; names are those of the REST API."""
    data: dict[str, Any] = {
        "model": model,
        "epoch": event.epoch,
        "action": f"ACTION_{event.action.name}",
        "version": event.version,
        "alias": event.alias,
        "client": event.client,
        "reason": event.reason,
    }
    for name, stage in (("from_stage", event.from_stage), ("to_stage", event.to_stage)):
        if stage is not None:
            data[name] = f"STAGE_{stage.name}"
    if event.promotion_request:
        data["promotion_request"] = f"models/{model}/promotionRequests/{event.promotion_request}"
    return data
