"""What a rollout measures of its version by itself. Pure."""

from __future__ import annotations

from headrace_rollout.decisions.policies import Policy

# By the batchers that load the version, before it serves anybody.
_LOADED = ("latency_p50_ms", "latency_p99_ms", "parity_max_abs_diff")
# By the monitor, of a shadow.
_SHADOWED = "shadow_*"


def measured_later(policy: Policy) -> tuple[str, ...]:
    """Return the metrics that a version has by the last step, though perhaps not before the first one; `*` stands for
    any characters. Gates on others are asked before the first step.
    """
    shadowed = policy.shadow is not None and not policy.shadow.warms
    return (*_LOADED, _SHADOWED) if shadowed else _LOADED
