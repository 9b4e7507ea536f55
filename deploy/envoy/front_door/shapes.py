"""The shape of Envoy's configuration: JSON as Python values, and values as Lua."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

_PREFIX = "type.googleapis.com/envoy."


def typed(kind: str, **fields: Any) -> Json:
    """Return a message of Envoy's API with its type, e.g. `typed("extensions.filters.http.cors.v3.Cors")`."""
    return {"@type": _PREFIX + kind, **fields}


def seconds(value: float) -> str:
    """Return a duration as Envoy reads it."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def exact(value: str) -> Json:
    return {"exact": value}


def header_is(name: str, **string_match: Any) -> Json:
    """Return a header matcher, e.g. `header_is(":method", exact="POST")`."""
    return {"name": name, "string_match": string_match}


def anything_but(words: Iterable[str]) -> str:
    """Return the expression that matches every text but these words, whole; RE2 has nothing that looks ahead."""
    words = set(words)
    heads = sorted({word[0] for word in words if word})
    if not heads:
        return ".+" if words else ".*"
    ways = [] if "" in words else [""]
    ways.append(f"[^{''.join(map(re.escape, heads))}].*")
    ways += [re.escape(head) + anything_but(word[1:] for word in words if word.startswith(head)) for head in heads]
    return f"(?:{'|'.join(ways)})"


def lua_value(value: object) -> str:
    """Return a value of strings, integers, sequences and mappings as Lua source."""
    if isinstance(value, str):
        plain = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}" for byte in value.encode())
        return f'"{"".join(plain)}"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"[{lua_value(key)}]={lua_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable):
        return "{" + ",".join(lua_value(item) for item in value) + "}"
    raise TypeError(f"{type(value).__name__} has no Lua form here")
