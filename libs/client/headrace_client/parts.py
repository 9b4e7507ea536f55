"""Which part brings what, for those who ask for something that is not installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import entry_points

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

_COMMAND = re.compile(r"`headrace ([a-z-]+)(?: ([a-z-]+))?")


def missing(name: str) -> str:
    """Return what to do about a command or a group that is not installed; empty for what no part has.

    >>> missing("rollouts")
    "'rollouts' belongs to the part release: pip install 'headrace-client[release]'"
    """
    part = next((part for part, names in PARTS.items() if name in names.split()), None)
    if part is None:
        return ""
    return f"'{name.rpartition('.')[2]}' belongs to the part {part}: pip install 'headrace-client[{part}]'"


def to_add(commands: str) -> str:
    """Return what to do about the commands in a sentence, `headrace rollouts list`, that are not installed.

    Empty where all of them are.
    """
    named = [found for group, command in _COMMAND.findall(commands) for found in (group, f"{group}.{command}")]
    installed = {one.name for one in entry_points(group="headrace.commands")}
    return "; ".join(filter(None, (missing(name) for name in dict.fromkeys(named) if name not in installed)))
