"""Which part brings what, for those who ask for something that is not installed."""

from __future__ import annotations

from collections.abc import Mapping

PARTS: Mapping[str, str] = {
    "observe": "monitor outcomes alerts",
    "release": "rollouts experiments approvals models.approval-policy models.approvals models.approve "
    "models.break-glass models.reject models.request models.review models.withdraw",
    "scale": "autoscale capacity pools",
    "bulk": "jobs schedules publications",
    "forge": "models.client models.import models.optimise models.tune",
    "drill": "game-day",
    "describe": "apply plan state",
}
"""Commands, `group.command` of a group of the core, and groups of methods of the SDK."""


def missing(name: str) -> str:
    """Return what to do about a command or a group that is not installed; empty for what no part has.

    >>> missing("rollouts")
    "'rollouts' belongs to the part release: pip install 'headrace-client[release]'"
    """
    part = next((part for part, names in PARTS.items() if name in names.split()), None)
    if part is None:
        return ""
    return f"'{name.rpartition('.')[2]}' belongs to the part {part}: pip install 'headrace-client[{part}]'"
