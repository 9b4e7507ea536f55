"""Settings as data: name, meaning, unit and default of every variable."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from headrace_servicekit.settings import variable

# By the end of a name. What a number counts is in the name of every setting; a test holds them to that.
_UNITS = {
    "_s": "s",
    "_h": "h",
    "_d": "d",
    "_per_cpu_hour": "money",
    "_bytes": "bytes",
    "_rows": "rows",
    "_labels": "labels",
    "_per_second": "requests/s",
    "_per_minute": "sign-ins/min",
    "_per_week": "alarms/week",
    "_share": "share",
    "_one_in": "requests",
    "port": "port",
    "concurrency": "threads",
    "loads_at_once": "loads",
    "processes": "processes",
    "_threads": "threads",
    "_connections": "connections",
    "_rpcs": "calls",
    "_in_flight": "requests",
    "_uploads": "uploads",
    "_simulations": "simulations",
    "_watches": "streams",
    "_series": "series",
    "_publishes": "publishes",
    "_queries": "queries",
    "_batches": "batches",
    "_pools": "pools",
    "_jobs": "jobs",
    "_workers": "processes",
    "_objects": "objects",
    "_answers_per_client": "answers",
    "_answers_per_model": "answers",
}


class Described(NamedTuple):
    """One setting. kind: `text`, `path`, `number`, `yes or no`, `list`, or the words that it may be.

    unit: what a number counts, empty for anything else. default: as it would be written, None when unset. required:
    nothing starts without it.
    """

    variable: str
    kind: str
    unit: str
    default: str | None
    required: bool
    meaning: str


def described(settings: type[BaseSettings]) -> list[Described]:
    """Return every setting of a class, in its order."""
    return [_of(variable(settings, field), field, info) for field, info in settings.model_fields.items()]


def settings_help(settings: type[BaseSettings]) -> str:
    """Return the settings of a class as `--help` shows them."""
    lines = ["Settings are environment variables:"]
    for one in described(settings):
        default = "required" if one.required else "unset" if one.default is None else one.default or "empty"
        unit = f", {one.unit}" if one.unit not in ("", "port") else ""
        lines += ["", f"  {one.variable} ({default}{unit})", f"      {one.meaning}"]
    return "\n".join(lines)


def _of(name: str, field: str, info: FieldInfo) -> Described:
    kind = _kind(info.annotation)
    required = info.is_required()
    default = None if required else _written(info.get_default(call_default_factory=True))
    return Described(
        name,
        kind,
        _unit(field) if kind == "number" else "",
        default,
        required,
        " ".join((info.description or "").split()),
    )


def _unit(field: str) -> str:
    return next((unit for end, unit in _UNITS.items() if field.endswith(end)), "")


def _kind(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(str(each) for each in typing.get_args(annotation))
    if origin in (types.UnionType, typing.Union):
        return _kind(next(each for each in typing.get_args(annotation) if each is not type(None)))
    if origin is tuple:
        return "list"
    return {bool: "yes or no", int: "number", float: "number", Path: "path"}.get(annotation, "text")


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, SecretStr):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(str(each) for each in value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
