"""Rollouts and policies as JSON, as the database keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace_servicekit.outbox import events
from pydantic import TypeAdapter

from headrace_rollout.decisions.events import event_of
from headrace_rollout.decisions.judgement import Record
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Event, Rollout
from headrace_rollout.decisions.shadow_record import ShadowRecord

_ROLLOUT = TypeAdapter(Rollout)
_POLICY = TypeAdapter(Policy)
_RECORD = TypeAdapter(Record)
_SHADOW_RECORD = TypeAdapter(ShadowRecord)
_NOTICE = TypeAdapter(tuple[Event, Rollout])


def rollout_json(rollout: Rollout) -> str:
    """Return a rollout as JSON."""
    return _ROLLOUT.dump_json(rollout).decode()


def rollout_of(text: str) -> Rollout:
    """Return the rollout of a JSON text. Raises ValueError."""
    return _ROLLOUT.validate_json(text)


def policy_json(policy: Policy) -> str:
    """Return a policy as JSON."""
    return _POLICY.dump_json(policy).decode()


def policy_of(text: str) -> Policy:
    """Return the policy of a JSON text. Raises ValueError."""
    return _POLICY.validate_json(text)


def record_json(record: Record) -> str:
    """Return the evidence of a rollout as JSON."""
    return _RECORD.dump_json(record).decode()


def record_of(text: str) -> Record:
    """Return the evidence of a JSON text. Raises ValueError."""
    return _RECORD.validate_json(text)


def shadow_record_json(record: ShadowRecord) -> str:
    """Return the evidence of a shadow as JSON."""
    return _SHADOW_RECORD.dump_json(record).decode()


def shadow_record_of(text: str) -> ShadowRecord:
    """Return the evidence of a JSON text. Raises ValueError."""
    return _SHADOW_RECORD.validate_json(text)


def notice_json(event: Event, rollout: Rollout) -> str:
    """Return the JSON body of a webhook notification: an event and the rollout after it."""
    # Evidence is large, and the verdict summarises it.
    return _NOTICE.dump_json((event, replace(rollout, evidence=""))).decode()


def event_in(row: Any) -> events.Event:
    """Return the CloudEvent of a row of the deliveries table."""
    return event_of(row["id"], *notice_of(row["body"]), row["create_time"])


def notice_of(text: str) -> tuple[Event, Rollout]:
    """Return the event and the rollout of a JSON text. Raises ValueError."""
    return _NOTICE.validate_json(text)
