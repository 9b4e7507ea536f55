"""Which part brings what, for those who ask for something that is not installed."""

from __future__ import annotations

from collections.abc import Mapping

_PARTS: Mapping[str, frozenset[str]] = {
    "observe": frozenset(["monitor", "usage", "outcomes", "alerts", "budgets", "rate_limits"]),
    "release": frozenset(
        [
            "rollouts",
            "experiments",
            "approvals",
            "models.approval-policy",
            "models.review",
            "models.request",
            "models.approvals",
            "models.approve",
            "models.reject",
            "models.withdraw",
            "models.break-glass",
        ]
    ),
    "scale": frozenset(["autoscale", "capacity", "pools"]),
    "bulk": frozenset(["jobs", "schedules", "publications"]),
    "forge": frozenset(["models.import", "models.optimise", "models.tune", "models.typed-client"]),
    "drill": frozenset(("game-day",)),
    "describe": frozenset(("plan", "apply", "state")),
}
"""Commands, `group.command` of a group of the core, and groups of methods of the SDK."""


def missing(name: str) -> str:
    """Return what to do about a command or a group that is not installed; empty for what no part has.

    >>> missing("rollouts")
    "'rollouts' belongs to the part release: pip install 'headrace-client[release]'"
    """
    part = next((part for part, names in _PARTS.items() if name in names), None)
    if part is None:
        return ""
    return f"'{name.rpartition('.')[2]}' belongs to the part {part}: pip install 'headrace-client[{part}]'"
