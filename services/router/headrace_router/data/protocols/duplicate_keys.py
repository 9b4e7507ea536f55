"""Whether an object of a JSON body names a member twice: parsers keep the last one, and whoever wrote it meant both."""

from __future__ import annotations

import json
from typing import Any

# Deeper objects than a request has are not counted: their bodies are looked at again, like those with colons in texts.
DEPTH = 4


def repeated(data: bytes, body: dict[str, Any]) -> str | None:
    """Return the name of a member that stands twice in one object, None without any.

    data: a JSON object as it was sent; body: as it was parsed. Every member has a colon of its own, so as many members
    as colons mean that none was lost. Only bodies that have more are parsed a second time. Raises ValueError for those
    that are nested too deeply for that.
    """
    if data.count(b":") == _members(body, DEPTH):
        return None
    try:
        json.loads(data, object_pairs_hook=_once, parse_int=_nothing, parse_float=_nothing)
    except _Repeated as found:
        return found.name
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return None


class _Repeated(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _members(value: dict[str, Any], depth: int) -> int:
    """Return how many members an object and those in it have: never more than there are."""
    count = len(value)
    if depth:
        for inner in value.values():
            kind = type(inner)
            if kind is dict:
                count += _members(inner, depth - 1)
            elif kind is list and inner and type(inner[0]) is dict:  # numbers of a row are not looked at one by one
                for one in inner:
                    if type(one) is dict:
                        count += _members(one, depth - 1)
    return count


def _once(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise _Repeated(name)
        names.add(name)


def _nothing(_text: str) -> None:
    """Numbers do not matter here."""
