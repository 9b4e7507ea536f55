"""Rollouts and policies as JSON, as the database keeps them."""

from __future__ import annotations

from pydantic import TypeAdapter

from headrace_rollout.decisions.judgement import Record
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.decisions.rollouts import Rollout

_ROLLOUT = TypeAdapter(Rollout)
_POLICY = TypeAdapter(Policy)
_RECORD = TypeAdapter(Record)


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
