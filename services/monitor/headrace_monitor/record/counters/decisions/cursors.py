"""What a reader of counts has had: a cursor, and what is new since.

Counts are kept by the minute of their arrival, and a minute only ever grows. A cursor has a minute, and what was
counted from it on when the cursor was made; what is more by now is new. The minute lies two minutes back, since the
clocks of replicas that take reports differ.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from headrace_statistics.sketches.distinct import NOTHING, Distinct, from_bytes

from headrace_monitor.record.counters.decisions.differences import minute_of
from headrace_monitor.record.counters.decisions.tallies import ZERO, Tally, decode, encode, shrunk, total

_FORMAT = 1
_BACK = timedelta(minutes=2)
# Of one cursor, unpacked: ten times what two versions with every code have.
_MAX_BYTES = 4 * 1024 * 1024


class CountKey(NamedTuple):
    """Labels of a count; fields as in SeriesKey."""

    version: str
    variant: str
    served_from: int
    code: int
    priority: int


# Kinds of units in reports and responses, with the field of a cursor for each. Separate fields, so that the previous
# release can read the erring units of a newer cursor.
UNIT_KINDS = {"erring_units": "units", "refused_units": "refused_units", "units": "asked_units"}


class ArmKey(NamedTuple):
    """A version under a variant, and which of its units."""

    version: str
    variant: str
    kind: str = "erring_units"


class MinuteTally(NamedTuple):
    """What a minute adds to a key."""

    minute: datetime
    key: CountKey
    tally: Tally


@dataclass(frozen=True, slots=True)
class Cursor:
    """store: incarnation of the database. read_time: when it was made. since: the minute; counted: from there on.
    units: of each kind, since the first cursor.
    """

    store: str
    read_time: datetime
    since: datetime
    counted: Mapping[CountKey, Tally]
    units: Mapping[ArmKey, Distinct]


@dataclass(frozen=True, slots=True)
class NewCounts:
    """New counts since a cursor. units: by arm, their number and how many no arm had before. cursor: the next one."""

    counts: Mapping[CountKey, Tally]
    units: Mapping[ArmKey, tuple[int, int]]
    cursor: Cursor


def first_minute(before: Cursor | None, now: datetime) -> datetime:
    """Return the minute from which on counts are to be read."""
    return minute_of(now - _BACK) if before is None else before.since


def advance(
    before: Cursor | None,
    tallies: Iterable[MinuteTally],
    units: Iterable[tuple[ArmKey, Distinct]],
    *,
    store: str,
    now: datetime,
) -> NewCounts:
    """Return the new counts. tallies, units: from `first_minute` on, in any order; several of a key are summed."""
    since = max(minute_of(now - _BACK), first_minute(before, now))
    all_parts: dict[CountKey, list[Tally]] = {}
    late_parts: dict[CountKey, list[Tally]] = {}
    for minute, key, tally in tallies:
        all_parts.setdefault(key, []).append(tally)
        if minute >= since:
            late_parts.setdefault(key, []).append(tally)
    sums = {key: total(parts) for key, parts in all_parts.items()}
    merged = dict(before.units) if before is not None else {}
    for arm, sketch in units:
        merged[arm] = merged.get(arm, NOTHING).merge(sketch)
    counts: dict[CountKey, Tally] = {}
    if before is not None:
        for key, tally in sums.items():
            had = before.counted.get(key, ZERO)
            # A store restored from a backup has lower totals: nothing in it is new.
            if tally.count > had.count and shrunk(had, tally) is None:
                counts[key] = tally.minus(had)
    had_units = before.units if before is not None else merged
    new_units = {arm: (sketch.count, _new(arm, sketch, had_units)) for arm, sketch in merged.items()}
    cursor = Cursor(store, now, since, {key: total(parts) for key, parts in late_parts.items()}, merged)
    return NewCounts(counts, new_units, cursor)


def _new(arm: ArmKey, sketch: Distinct, had: Mapping[ArmKey, Distinct]) -> int:
    """Return the number of units that are new in every arm: a unit that a rollout step moved is not new."""
    others = [one for key, one in had.items() if key.kind == arm.kind and key != arm]
    return sketch.beyond(had.get(arm, NOTHING), others)


def to_bytes(cursor: Cursor) -> bytes:
    """Return the cursor as callers keep it."""
    plain = {
        "store": cursor.store,
        "read": cursor.read_time.isoformat(),
        "since": cursor.since.isoformat(),
        "counted": [[*key, base64.b64encode(encode(tally)).decode()] for key, tally in cursor.counted.items()],
        **{field: _packed(cursor.units, kind) for kind, field in UNIT_KINDS.items()},
    }
    return bytes([_FORMAT]) + zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)


def from_bytes_of(data: bytes) -> Cursor:
    """Return the cursor that `to_bytes` was given. Raises ValueError for bytes that it did not make."""
    if data[:1] != bytes([_FORMAT]):
        raise ValueError("not a cursor of this release")
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(data[1:], _MAX_BYTES)
        if unpacking.unconsumed_tail or not unpacking.eof:
            raise ValueError("too long, or cut off")
        plain = json.loads(text)
        return Cursor(
            str(plain["store"]),
            datetime.fromisoformat(plain["read"]),
            datetime.fromisoformat(plain["since"]),
            {CountKey(*key): decode(base64.b64decode(tally)) for *key, tally in plain["counted"]},
            {
                ArmKey(version, variant, kind): from_bytes(base64.b64decode(one))
                for kind, field in UNIT_KINDS.items()
                for version, variant, one in plain.get(field, ())
            },
        )
    except Exception as error:  # decoders raise various errors on untrusted bytes
        raise ValueError(f"not a cursor: {error}") from error


def _packed(units: Mapping[ArmKey, Distinct], kind: str) -> list[list[str]]:
    return [
        [arm.version, arm.variant, base64.b64encode(one.to_bytes()).decode()]
        for arm, one in units.items()
        if arm.kind == kind
    ]
