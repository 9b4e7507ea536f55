"""Resource names of the API: `pools/{pool}`, and what is below."""

from __future__ import annotations

import re

from headrace_servicekit.errors import FieldViolation, InvalidArgument

MAX_ID_CHARS = 63
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LATEST = "latest"


def is_id(text: str) -> bool:
    """Return whether a text is an id: lower-case words joined by single hyphens."""
    return len(text) <= MAX_ID_CHARS and _ID.fullmatch(text) is not None


def pool_of(name: str, field: str, *below: str) -> str:
    """Return the pool in `pools/{pool}`, with these words below it. Raises InvalidArgument."""
    pattern = "/".join(("pools/{pool}", *below))
    parts = name.split("/")
    if len(parts) != 2 + len(below) or parts[0] != "pools" or tuple(parts[2:]) != below or not is_id(parts[1]):
        raise invalid(field, f"{_shown(name)} is not of the form {pattern}")
    return parts[1]


def decision_of(name: str, field: str) -> tuple[str, int | None]:
    """Return pool and number of `pools/{pool}/decisions/{number}`; None for the latest. Raises InvalidArgument."""
    pool, _, number = name.rpartition("/decisions/")
    if number != LATEST and not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise invalid(field, f"{_shown(name)} is not of the form pools/{{pool}}/decisions/{{number}}")
    return pool_of(pool, field), None if number == LATEST else int(number)


def invalid(field: str, description: str) -> InvalidArgument:
    """Return the refusal of one field."""
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)])


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
