"""Fallbacks of a route as people write them: `backup:v1@cpu`, `precomputed`, `stale:10m`, `constant:FILE.json`.

    [NAME=]KIND[:WHAT][@POOL][,left=DURATION]

`FallbackStep.parse` reads that; values can be made without text, too. Files hold JSON: `{"scores": [0.5]}` for a
constant, the same by entity for a table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.router.v1 import route_pb2

from headrace_client.durations import duration_text, parse_duration
from headrace_client.errors import InvalidArgument, invalid
from headrace_client.local_files import text_of
from headrace_client.operations.routes import Alias, Production, Version

# Values by output: one row of an answer, each value a number, a text, or a list of them (row-major when nested).
Row = Mapping[str, Any]

_STEP = re.compile(r"(?:(?P<name>[a-z0-9-]+)=)?(?P<kind>[a-z]+)(?P<rest>[:@].*?)?(?:,left=(?P<left>[^,]+))?", re.DOTALL)
_BACKUP = re.compile(r"(?::(?P<what>@?[^@]+))?(?:@(?P<pool>[^@]+))?")
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Backup:
    """A version in a pool. serves: None for the version of the request's variant. pool: empty for `default`."""

    serves: Version | Production | Alias | None = None
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Precomputed:
    """The precomputed answer of the request's entity, of any age."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The cached answer, at most this old."""

    max_age: timedelta


@dataclass(frozen=True, slots=True)
class Constant:
    """The same values for every request."""

    row: Row


@dataclass(frozen=True, slots=True)
class EntityTable:
    """Values by entity."""

    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """One fallback. name: empty lets `named` give one. min_time_left: passed over when less time is left."""

    source: Backup | Precomputed | Stale | Constant | EntityTable
    name: str = ""
    min_time_left: timedelta | None = None

    def __str__(self) -> str:
        left = f",left={duration_text(self.min_time_left)}" if self.min_time_left is not None else ""
        return f"{self.name}={_source_text(self.source)}{left}" if self.name else f"{_source_text(self.source)}{left}"

    def to_proto(self) -> route_pb2.FallbackStep:
        """Return the fallback as it is sent. Raises InvalidArgument for values that are no row."""
        proto = route_pb2.FallbackStep(name=self.name)
        if self.min_time_left is not None:
            proto.min_time_left.FromTimedelta(self.min_time_left)
        match self.source:
            case Backup(serves, pool):
                proto.backup.pool = pool
                _name_version(proto.backup, serves)
            case Precomputed():
                proto.precomputed = True
            case Stale(max_age):
                proto.stale.FromTimedelta(max_age)
            case Constant(row):
                proto.constant.SetInParent()
                _fill(proto.constant, row, self.name or "constant")
            case EntityTable(rows):
                proto.entity_table.SetInParent()
                for entity, row in rows.items():
                    _fill(proto.entity_table.rows[entity], row, f"{self.name or 'table'}[{entity}]")
        return proto

    @classmethod
    def from_proto(cls, proto: route_pb2.FallbackStep) -> FallbackStep:
        """Return a fallback as a value."""
        left = proto.min_time_left.ToTimedelta() if proto.HasField("min_time_left") else None
        return cls(_source_of(proto), proto.name, left)

    @classmethod
    def parse(cls, text: str) -> FallbackStep:
        """Return the fallback that a text says, with what its file holds. Raises InvalidArgument."""
        found = _STEP.fullmatch(text)
        if found is None:
            raise _unreadable(text, "write a kind, such as backup:v1@cpu, precomputed, stale:10m or constant:FILE.json")
        left = parse_duration(found["left"]) if found["left"] else None
        if found["left"] and left is None:
            raise _unreadable(text, f"'{found['left']}' is no duration, such as 20ms")
        return cls(_parsed(text, found["kind"], found["rest"] or ""), found["name"] or "", left)


def named(steps: Sequence[FallbackStep]) -> list[FallbackStep]:
    """Return the fallbacks, each with a name: its own, else one that says what it is (`backup-v1-cpu`)."""
    taken = {step.name for step in steps if step.name}
    given = []
    for step in steps:
        name = step.name or next(free for free in _names(step) if free not in taken)
        taken.add(name)
        given.append(replace(step, name=name))
    return given


def _names(step: FallbackStep) -> Iterator[str]:
    match step.source:
        case Constant():
            words = "constant"
        case EntityTable():
            words = "table"
        case Stale():
            words = "stale"
        case source:
            words = _source_text(source)
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:50].strip("-")
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _parsed(text: str, kind: str, rest: str) -> Backup | Precomputed | Stale | Constant | EntityTable:
    what = rest.removeprefix(":")
    match kind:
        case "backup":
            return _backup(text, rest)
        case "precomputed" if not rest:
            return Precomputed()
        case "stale":
            age = parse_duration(what)
            if age is None:
                raise _unreadable(text, "say how old the answer may be, such as stale:10m")
            return Stale(age)
        case "constant" if what:
            return Constant(_json(text, what))
        case "table" if what:
            return EntityTable(_json(text, what))
        case "constant" | "table":
            raise _unreadable(text, f"name its file, such as {kind}:FILE.json")
        case _:
            raise _unreadable(text, "the kinds are backup, precomputed, stale, constant and table")


def _backup(text: str, rest: str) -> Backup:
    found = _BACKUP.fullmatch(rest)
    if found is None or not rest:
        raise _unreadable(text, "name a version, a pool or both: backup:v1, backup@cpu, backup:v1@cpu")
    what, pool = found["what"], found["pool"] or ""
    if what is None:
        return Backup(None, pool)
    if what == "production":
        return Backup(Production(), pool)
    return Backup(Alias(what[1:]) if what.startswith("@") else Version(what), pool)


def _json(text: str, what: str) -> Any:
    """Return the object that a file holds, or the text itself when it is JSON."""
    content = what if what.startswith("{") else text_of(Path(what), "fallback", "JSON")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _unreadable(text, 'holds no object, such as {"scores": [0.5]}, for a table by entity')
    return found


def _fill(proto: route_pb2.FallbackStep.Row, row: Any, where: str) -> None:
    if not isinstance(row, Mapping):
        raise invalid("fallback", f'{where}: a row is an object by output, such as {{"scores": [0.5]}}')
    for output, value in row.items():
        values = list(_flat(value))
        texts = [one.decode() if isinstance(one, bytes) else one for one in values if isinstance(one, str | bytes)]
        numbers = [float(one) for one in values if isinstance(one, int | float)]
        if len(values) not in (len(texts), len(numbers)):
            raise invalid("fallback", f"{where}: output '{output}' is neither numbers alone nor texts alone")
        proto.outputs[output].numbers.extend(numbers)
        proto.outputs[output].strings.extend(texts)


def _flat(value: Any) -> Iterator[Any]:
    """Yield the elements of a value, row-major; arrays are lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _name_version(proto: route_pb2.FallbackStep.Backup, serves: Version | Production | Alias | None) -> None:
    match serves:
        case Version(version):
            proto.version = version
        case Alias(name):
            proto.follow_alias = name
        case Production():
            proto.follow_production = True
        case None:
            pass


def _source_of(proto: route_pb2.FallbackStep) -> Backup | Precomputed | Stale | Constant | EntityTable:
    match proto.WhichOneof("source"):
        case "backup":
            backup = proto.backup
            kinds = {"version": Version(backup.version), "follow_alias": Alias(backup.follow_alias)}
            kind = backup.WhichOneof("serves")
            serves = Production() if kind == "follow_production" else kinds.get(kind or "")
            return Backup(serves, backup.pool)
        case "stale":
            return Stale(proto.stale.ToTimedelta())
        case "constant":
            return Constant(_row(proto.constant))
        case "entity_table":
            return EntityTable({entity: _row(row) for entity, row in sorted(proto.entity_table.rows.items())})
        case _:
            return Precomputed()


def _row(proto: route_pb2.FallbackStep.Row) -> Row:
    return {name: list(values.strings or values.numbers) for name, values in sorted(proto.outputs.items())}


def _source_text(source: Backup | Precomputed | Stale | Constant | EntityTable) -> str:
    match source:
        case Backup(serves, pool):
            elsewhere = f"@{pool or 'default'}" if serves is None or pool not in ("", "default") else ""
            return f"backup{_version_text(serves)}{elsewhere}"
        case Precomputed():
            return "precomputed"
        case Stale(max_age):
            return f"stale:{duration_text(max_age)}"
        case Constant(row):
            text = json.dumps(row, separators=(",", ":"), default=lambda one: list(_flat(one)))
            return f"constant:{text}" if len(text) <= _LONGEST_SHOWN else f"constant:({len(row)} outputs)"
        case EntityTable(rows):
            return f"table:({len(rows)} entities)"


def _version_text(serves: Version | Production | Alias | None) -> str:
    match serves:
        case Version(version):
            return f":{version}"
        case Alias(name):
            return f":@{name}"
        case Production():
            return ":production"
        case None:
            return ""


def _unreadable(text: str, why: str) -> InvalidArgument:
    return invalid("fallback", f"'{text[:200]}' cannot be read: {why}")
