"""Names of models, versions, variants, aliases, rules, pools and managers, and how a version is named."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence

from headrace_servicekit.errors import FieldViolation

NAME_RULE = "must be lower-case words joined by single hyphens, at most 63 characters"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME_CHARS = 63
_MANAGERS = ("rollouts", "experiments")


def is_name(text: str) -> bool:
    """Return whether text is lower-case words joined by single hyphens, at most 63 characters."""
    return len(text) <= _MAX_NAME_CHARS and _NAME.fullmatch(text) is not None


def is_manager(text: str) -> bool:
    """Return whether text is `rollouts/{id}` or `experiments/{id}`."""
    kind, _, name = text.partition("/")
    return kind in _MANAGERS and is_name(name)


def twice(field: str, kind: str, names: Sequence[str]) -> Iterator[FieldViolation]:
    """Yield a violation for each name that an earlier one of the list has."""
    seen: set[str] = set()
    for position, name in enumerate(names):
        if name in seen:
            yield FieldViolation(f"{field}[{position}].name", f"'{name}' is the name of an earlier {kind}")
        seen.add(name)


class Serves(enum.Enum):
    """By its id, as whatever is in production, or as whatever an alias names."""

    VERSION = "version"
    PRODUCTION = "production"
    ALIAS = "alias"
