"""A pool as metrics show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace_autoscaler.decisions.problems import Problem


@dataclass(frozen=True, slots=True)
class ShownPool:
    """Replicas by state, what is wanted, what is wrong, and signals by metric."""

    pool: str
    desired: int
    replicas: Mapping[str, int]
    problems: frozenset[Problem]
    signals: Mapping[str, float]
