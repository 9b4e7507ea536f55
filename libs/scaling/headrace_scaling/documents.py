"""Policies, observations, memories and decisions as JSON and back, exact to the bit.

Numbers that are not finite become text ("nan", "inf"), as PostgreSQL's jsonb has none.
"""

from __future__ import annotations

import enum
import json
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


def to_plain(value: object) -> Any:
    """Return what `json.dumps` takes, for a value of `headrace_scaling`."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(to_plain(key)): to_plain(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON")


def to_json(value: object) -> str:
    """Return the JSON of a value of `headrace_scaling`."""
    return json.dumps(to_plain(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def from_json(kind: type[Value], text: str | bytes) -> Value:
    """Return the value that JSON stands for. Raises ValueError, which names the field, for anything else."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    return from_plain(kind, plain)


def from_plain(kind: type[Value], plain: object) -> Value:
    """Return the value that a JSON document stands for. Raises ValueError, which names the field, for anything else."""
    return _built(kind, plain, "")


def _built(kind: Any, plain: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return None if plain is None else _built(options[0], plain, path)
    if origin is tuple:
        return _tuple(get_args(kind), plain, path)
    if origin is not None and issubclass(origin, Mapping):
        of_key, of_value = get_args(kind)
        entries = _checked(plain, dict, path, "an object")
        return {_built(of_key, key, path): _built(of_value, each, f"{path}.{key}") for key, each in entries.items()}
    if is_dataclass(kind):
        return _dataclass(kind, plain, path)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(plain)
        except ValueError:
            known = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"{_at(path)} must be one of {known}") from None
    return _scalar(kind, plain, path)


def _dataclass(kind: Any, plain: Any, path: str) -> Any:
    given = _checked(plain, dict, path, "an object")
    hints = _hints(kind)
    for name in given:
        if name not in hints:
            raise ValueError(f"{_at(path)} has no field {name!r}; there is {', '.join(hints)}")
    values = {name: _built(hints[name], each, f"{path}.{name}") for name, each in given.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = [one.name for one in fields(kind) if one.name not in values]
        raise ValueError(f"{_at(path)} lacks {', '.join(missing)}") from None


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


def _tuple(kinds: tuple[Any, ...], plain: Any, path: str) -> tuple[Any, ...]:
    given = _checked(plain, list, path, "an array")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_built(kinds[0], each, f"{path}[{index}]") for index, each in enumerate(given))
    if len(given) != len(kinds):
        raise ValueError(f"{_at(path)} must have {len(kinds)} elements")
    return tuple(
        _built(one, each, f"{path}[{index}]") for index, (one, each) in enumerate(zip(kinds, given, strict=True))
    )


def _scalar(kind: Any, plain: Any, path: str) -> Any:
    if kind is float:
        if isinstance(plain, str) and plain in ("nan", "inf", "-inf"):
            return float(plain)
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return float(plain)
        raise ValueError(f"{_at(path)} must be a number")
    if kind is int:
        if isinstance(plain, bool) or not isinstance(plain, int):
            raise ValueError(f"{_at(path)} must be a whole number")
        return plain
    return _checked(plain, kind, path, {bool: "true or false", str: "text"}[kind])


def _checked(plain: Any, kind: type, path: str, words: str) -> Any:
    if not isinstance(plain, kind):
        raise ValueError(f"{_at(path)} must be {words}")
    return plain


def _at(path: str) -> str:
    return path.lstrip(".") or "the document"
