"""Resource names (`models/{model}/versions/{version}`): the ids in them, and how wrong ones are refused."""

from __future__ import annotations

import re

from headrace_servicekit.errors import FieldViolation, InvalidArgument

MAX_ID_CHARS = 63
ID_RULE = f"lower-case letters and digits in words joined by single hyphens, at most {MAX_ID_CHARS} characters"
NUMBER = "{number}"

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def is_id(text: str) -> bool:
    """Return whether text can be the id of a resource."""
    return len(text) <= MAX_ID_CHARS and _ID.fullmatch(text) is not None


def ids(name: str, field: str, pattern: str) -> list[str]:
    """Return the values in a name at the `{…}` of a pattern; `{number}` takes digits, the others an id.

    Raises InvalidArgument that names `field`.
    """
    parts, wanted = name.split("/"), pattern.split("/")
    if len(parts) != len(wanted):
        raise _not_of(name, field, pattern)
    found = []
    for part, word in zip(parts, wanted, strict=True):
        if not word.startswith("{"):
            if part != word:
                raise _not_of(name, field, pattern)
            continue
        if word == NUMBER and not _NUMBER.fullmatch(part):
            raise _not_of(name, field, pattern)
        if word != NUMBER and not is_id(part):
            raise invalid(field, f"{shown(part)} is not the id of a {word[1:-1]}: {ID_RULE}")
        found.append(part)
    return found


def invalid(field: str, description: str, *, reason: str = "") -> InvalidArgument:
    """Return the error for one wrong field."""
    return InvalidArgument(f"{field}: {description}", violations=[FieldViolation(field, description)], reason=reason)


def shown(text: str) -> str:
    """Return text for a message: quoted, escaped, and cut where it is absurdly long."""
    return repr(text if len(text) <= 100 else text[:100] + "…")


def _not_of(name: str, field: str, pattern: str) -> InvalidArgument:
    return invalid(field, f"{shown(name)} is not of the form {pattern}")
