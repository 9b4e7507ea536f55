"""Pure: which answers callers may get, computed or kept, while somebody promotes, publishes, reverts and purges.

Every answer shows by its value what made it: version n of a model computes its input plus 1000 n, and row k published
for it is 1000 n + 500 + k + 0.25. So whatever layer an answer comes from, it cannot pass for another one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

PRODUCTION = "production"
NOTHING = ""
KEPT = ("cache", "stale")
# Of clocks of two processes on one machine, and of an age that is told in milliseconds.
SLACK_S = 0.05


def computed_value(version: int, x: float) -> float:
    """Return what a version computes."""
    return 1000.0 * version + x


def published_value(version: int, publish: int) -> float:
    """Return every row of a publish."""
    return 1000.0 * version + 500 + publish + 0.25


@dataclass(frozen=True, slots=True)
class Made:
    """What made an answer. publish: its number, empty for an answer that was computed."""

    version: str
    publish: str = NOTHING


def made(value: float, x: float) -> Made | None:
    """Return what made a value for an input, None for what nobody makes."""
    if value % 1 == 0.25:
        version, rest = divmod(value - 0.25, 1000)
        return Made(f"v{int(version)}", str(int(rest - 500))) if rest >= 500 else None
    version, rest = divmod(value - x, 1000)
    return Made(f"v{int(version)}") if rest == 0 and version >= 1 else None


@dataclass(frozen=True, slots=True)
class Change:
    """Something is changed to a value. Times are of `time.monotonic`; changes of one thing do not overlap.

    thing: `production` (a version is), or what `published` and `purged` name. returned_at: infinite when the change
    failed or was not acknowledged: then what was before may be seen for ever.
    """

    thing: str
    value: str
    asked_at: float
    returned_at: float = math.inf


def published(version: str) -> str:
    """Return the thing whose value is the publish that counts for a version."""
    return f"published {version}"


def purged(version: str) -> str:
    """Return the thing that changes when a version's cache is purged."""
    return f"purged {version}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. version, served_from, age_s: as the answer says. error: empty for an answer."""

    sent_at: float
    received_at: float
    x: float
    value: float = 0.0
    version: str = ""
    served_from: str = ""
    age_s: float = 0.0
    error: str = ""


def allowed(changes: Sequence[Change], thing: str, sent_at: float, received_at: float) -> set[str]:
    """Return the values that a request in this time may meet: each from its asking until the next one's return."""
    mine = [change for change in changes if change.thing == thing]
    ends = [change.returned_at for change in mine[1:]] + [math.inf]
    return {
        change.value
        for change, end in zip(mine, ends, strict=True)
        if change.asked_at <= received_at and end >= sent_at
    }


def violations(changes: Sequence[Change], seen: Iterable[Exchange]) -> list[str]:
    """Return what was wrong with any answer."""
    return [f"{what}: {one}" for one in seen for what in _wrong(changes, one)]


def _wrong(changes: Sequence[Change], one: Exchange) -> Iterator[str]:
    if one.error:
        yield "not answered"
        return
    it = made(one.value, one.x)
    if it is None:
        yield "nobody makes this value"
        return
    if it.version != one.version or bool(it.publish) != (one.served_from == "precomputed"):
        yield f"says what is not so of {it}"
    production = allowed(changes, PRODUCTION, one.sent_at, one.received_at)
    if it.version not in production:
        yield f"of {it.version}, while {sorted(production)} may answer"
    if it.publish:
        publishes = allowed(changes, published(it.version), one.sent_at, one.received_at)
        if it.publish not in publishes:
            yield f"of publish {it.publish}, while {sorted(publishes)} may count"
    made_at = one.received_at - one.age_s
    purges = [change for change in changes if change.thing == purged(it.version) and change.returned_at < one.sent_at]
    if one.served_from in KEPT and any(made_at < change.asked_at - SLACK_S for change in purges):
        yield f"kept from before the purge at {max(change.asked_at for change in purges):.3f}"
