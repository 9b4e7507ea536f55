"""In which ways traffic moves to a version, as forms and files name them."""

from __future__ import annotations

from headrace.rollout.v1 import rollout_pb2
from headrace_release.rollout_files import STRATEGIES


def policy_of(strategy: str) -> rollout_pb2.RolloutPolicy | None:
    """Return the policy with the defaults of a strategy; None for none. Raises KeyError."""
    if not strategy:
        return None
    return rollout_pb2.RolloutPolicy(strategy=rollout_pb2.RolloutPolicy.Strategy.Name(STRATEGIES[strategy]))


__all__ = ["STRATEGIES", "policy_of"]
