"""Pure: what the supervisor's control socket takes: one JSON object a line, answered by one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace_stack.replicas import Backend


class RequestError(ValueError):
    """A request cannot be understood; `field` is why."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


@dataclass(frozen=True, slots=True)
class Status:
    """Say what runs. checks: ask every component how it is, just now."""

    checks: bool = True


@dataclass(frozen=True, slots=True)
class Scale:
    """Let a component have so many replicas.

    first: addresses of the batchers that leave first, in order; without one, and after them, the newest leave.
    """

    component: str
    replicas: int
    to_zero: bool = False
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add:
    """Let there be a pool of batchers."""

    component: str
    backend: str = Backend.TRITON.value
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Remove:
    """Let there be no such pool of batchers."""

    component: str


Request = Status | Scale | Add | Remove

_DO: dict[str, type[Request]] = {"status": Status, "scale": Scale, "add": Add, "remove": Remove}
# Of each field: its type, and how that is called.
_TYPES: dict[str, tuple[type, str]] = {
    "component": (str, "text"),
    "replicas": (int, "a whole number"),
    "to_zero": (bool, "true or false"),
    "checks": (bool, "true or false"),
    "backend": (str, "text"),
    "first": (list, "a list of addresses"),
}


def parse(line: bytes) -> Request:
    """Read `{"do": "scale", "component": "batcher-default", "replicas": 3}`. Raises RequestError."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("", f"the request is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise RequestError("", 'the request must be an object, such as {"do": "status"}')
    do = raw.pop("do", None)
    kind = _DO.get(do) if isinstance(do, str) else None
    if kind is None:
        raise RequestError("do", f"do={do!r} must be one of {', '.join(_DO)}")
    return kind(**_fields(kind, raw))


def _fields(kind: type[Request], raw: Mapping[str, Any]) -> dict[str, Any]:
    known = kind.__dataclass_fields__
    for name, value in raw.items():
        if name not in known:
            raise RequestError(name, f"{name!r} is no field of it; known: {', '.join(known) or 'none'}")
        wanted, words = _TYPES[name]
        if type(value) is not wanted:  # a bool is an int
            raise RequestError(name, f"{name} must be {words}")
        if wanted is list and not all(isinstance(each, str) for each in value):
            raise RequestError(name, f"{name} must be {words}")
    required = [name for name in ("component", "replicas") if name in known and (kind is Scale or name == "component")]
    for name in required:
        if name not in raw:
            raise RequestError(name, f"{name} is missing")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}


def done(**of: Any) -> bytes:
    """Return the answer to a request that was done."""
    return json.dumps({"ok": True, **of}).encode() + b"\n"


def refused(field: str, problem: str) -> bytes:
    """Return the answer to a request that was not done. field: of the request, which is why; empty for none."""
    return json.dumps({"ok": False, "field": field, "error": problem}).encode() + b"\n"
