"""Whom and what a call is about, from headers that every face understands."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace_servicekit.errors import FieldViolation, InvalidArgument

from headrace_router.data.messages import MAX_TEXT_CHARS, About

USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER = "x-headrace-user-id", "x-headrace-entity-id", "x-headrace-max-age-ms"
EXPLAIN_HEADER = "x-headrace-explain"
# What callers may say in our own name; the front door takes every other `x-headrace-…` away.
ABOUT_HEADERS = (USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER, EXPLAIN_HEADER)
_AGE = re.compile(r"\d{1,15}(\.\d{1,6})?", re.ASCII)


def about(headers: Mapping[str, str]) -> About | None:
    """Return what the headers say, None when they say nothing. Raises InvalidArgument naming the header."""
    age = headers.get(MAX_AGE_HEADER)
    user, entity = headers.get(USER_HEADER, ""), headers.get(ENTITY_HEADER, "")
    explain = headers.get(EXPLAIN_HEADER)
    if not user and not entity and age is None and explain is None:
        return None
    if explain not in (None, "0", "1"):
        raise malformed(EXPLAIN_HEADER, f"'{explain[:32]}' is neither 1 nor 0")
    for name, value in ((USER_HEADER, user), (ENTITY_HEADER, entity)):
        if len(value) > MAX_TEXT_CHARS or not (value.isascii() and value.isprintable()):
            raise malformed(
                name, f"at most {MAX_TEXT_CHARS} printable ASCII characters are needed; the request's field takes any"
            )
    if age is not None and _AGE.fullmatch(age) is None:
        raise malformed(MAX_AGE_HEADER, f"'{age[:32]}' is not a number of milliseconds, 0 or more")
    return About(user, entity, None if age is None else float(age) / 1000, explain == "1")


def malformed(header: str, told: str) -> InvalidArgument:
    """Return the error for a header that cannot be read."""
    return InvalidArgument(f"{header}: {told}", reason="MALFORMED_HEADER", violations=[FieldViolation(header, told)])
