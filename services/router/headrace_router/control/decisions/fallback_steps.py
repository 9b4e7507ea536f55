"""The fallbacks of a route as people declare them, and what makes them valid before versions are looked up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.errors import FieldViolation

from headrace_router.control.decisions.names import NAME_RULE, Serves, is_name, twice

MAX_STEPS = 8
MAX_ENTITIES = 10_000
MAX_ENTITY_CHARS = 1024
# Of all constants and tables of a route together: a table travels whole, and the history keeps each of them.
MAX_GIVEN_BYTES = 1024 * 1024
# An answer is stored for its time and then at most as long again past it.
LONGEST_STALE = timedelta(days=14)
LONGEST_LEFT = timedelta(seconds=60)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Backup:
    """A version in a pool. serves: None for the version of the request's variant. target: id of the version or the
    alias, else empty."""

    serves: Serves | None
    target: str
    pool: str


@dataclass(frozen=True, slots=True)
class Precomputed:
    """The precomputed answer of the request's entity, of any age."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The cached answer, at most this old."""

    max_age: timedelta


@dataclass(frozen=True, slots=True)
class Constant:
    """The same values for every request. row: encoded FallbackStep.Row, the same bytes for the same row."""

    row: bytes


@dataclass(frozen=True, slots=True)
class EntityTable:
    """Values by entity. table: encoded headrace.router.v1.FallbackStep.EntityTable. entities: how many."""

    table: bytes
    entities: int


Source = Backup | Precomputed | Stale | Constant | EntityTable


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """One fallback. min_time_left: passed over when less is left; None leaves it to what data planes measure."""

    name: str
    source: Source
    min_time_left: timedelta | None = None


def backups(steps: Sequence[FallbackStep]) -> Iterator[tuple[int, FallbackStep, Backup]]:
    """Yield the steps that are versions in pools, each with its position."""
    for position, step in enumerate(steps):
        if isinstance(step.source, Backup):
            yield position, step, step.source


def step_violations(steps: Sequence[FallbackStep], pools: Collection[str]) -> Iterator[FieldViolation]:
    """Yield everything that is wrong with a route's fallbacks. pools: those that its variants run in."""
    if len(steps) > MAX_STEPS:
        yield FieldViolation("route.fallback", f"{len(steps)} steps; at most {MAX_STEPS} are allowed")
        return
    given_bytes = sum(map(_given_bytes, steps))
    if given_bytes > MAX_GIVEN_BYTES:
        allowed = f"constants and tables together take at most {MAX_GIVEN_BYTES:,}"
        yield FieldViolation("route.fallback", f"{given_bytes:,} bytes; {allowed}")
    for position, step in enumerate(steps):
        field = f"route.fallback[{position}]"
        if not is_name(step.name):
            yield FieldViolation(f"{field}.name", f"'{step.name}' {NAME_RULE}")
        if step.min_time_left is not None and not _NONE <= step.min_time_left <= LONGEST_LEFT:
            yield FieldViolation(f"{field}.min_time_left", "must be between 0 s and 60 s")
        yield from _source_violations(field, step.source, pools)
    yield from twice("route.fallback", "step", [step.name for step in steps])


def _source_violations(field: str, source: Source, pools: Collection[str]) -> Iterator[FieldViolation]:
    match source:
        case Backup():
            yield from _backup_violations(f"{field}.backup", source, pools)
        case Stale(max_age):
            if not _NONE < max_age <= LONGEST_STALE:
                yield FieldViolation(f"{field}.stale", "must be above 0 s and at most 14 days")
        case EntityTable(_, entities):
            if not 1 <= entities <= MAX_ENTITIES:
                allowed = f"from 1 to {MAX_ENTITIES:,} are allowed"
                yield FieldViolation(f"{field}.entity_table.rows", f"{entities:,} entities; {allowed}")
        case _:
            pass


def _backup_violations(field: str, backup: Backup, pools: Collection[str]) -> Iterator[FieldViolation]:
    if backup.serves is Serves.VERSION and not is_name(backup.target):
        yield FieldViolation(f"{field}.version", f"'{backup.target}' {NAME_RULE}")
    if backup.serves is Serves.ALIAS and not is_name(backup.target):
        yield FieldViolation(f"{field}.follow_alias", f"'{backup.target}' {NAME_RULE}")
    if not is_name(backup.pool):
        yield FieldViolation(f"{field}.pool", f"'{backup.pool}' {NAME_RULE}")
    elif backup.serves is None and set(pools) == {backup.pool}:
        other = "name another pool, or a version"
        yield FieldViolation(f"{field}.pool", f"every variant runs in pool '{backup.pool}' already: {other}")


def _given_bytes(step: FallbackStep) -> int:
    match step.source:
        case Constant(row):
            return len(row)
        case EntityTable(table, _):
            return len(table)
        case _:
            return 0
