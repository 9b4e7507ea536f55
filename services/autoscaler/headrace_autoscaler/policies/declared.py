"""A policy as it is kept: what decides, and what concerns acting alone."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_scaling.decisions.policies import PoolPolicy
from headrace_scaling.documents import from_json, to_json


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """What a pool was given. preset: where its unset fields came from. ready_deadline_s: None for as measured."""

    policy: PoolPolicy
    preset: str
    ready_deadline_s: float | None = None

    def document(self) -> str:
        """Return it as JSON."""
        return to_json(self)


def declared(document: str) -> DeclaredPolicy:
    """Return the policy in a document. Raises ValueError for one of another release."""
    return from_json(DeclaredPolicy, document)
