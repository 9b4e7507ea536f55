"""Where a route looks for answers before they are computed, when it asks twice, and who gets copies, as declared."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.errors import FieldViolation

NEVER = timedelta(0)
LONGEST_KEPT = timedelta(days=7)
LONGEST_PRECOMPUTED = timedelta(days=3650)
LONGEST_DELAY = timedelta(seconds=60)


class Mode(enum.IntEnum):
    """Where answers may come from; the numbers are the proto's. DEFAULT: hybrid."""

    DEFAULT = 0
    HYBRID = 1
    ONLINE = 2
    BATCH = 3


class Key(enum.IntEnum):
    """What makes two requests the same; the numbers are the proto's. DEFAULT: the inputs."""

    DEFAULT = 0
    INPUTS = 1
    ENTITY = 2


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is declared of lookups; None leaves it to the default that the proto states."""

    mode: Mode = Mode.DEFAULT
    key: Key = Key.DEFAULT
    ttl: timedelta | None = None
    stale_while_revalidate: timedelta | None = None
    stale_on_error: timedelta | None = None
    max_precomputed_age: timedelta | None = None
    cache_large_inputs: bool = False


@dataclass(frozen=True, slots=True)
class Hedging:
    """When a second batcher is asked. delay: None leaves it to what data planes measure."""

    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Shadowing:
    """Which variant gets copies of what others computed. share: of their answers. keeps: whether its own are cached."""

    variant: str
    share: float
    keeps: bool = False


def lookup_violations(lookup: Lookup) -> Iterator[FieldViolation]:
    """Yield everything that is wrong with a route's lookup settings."""
    for name, given in (
        ("ttl", lookup.ttl),
        ("stale_while_revalidate", lookup.stale_while_revalidate),
        ("stale_on_error", lookup.stale_on_error),
    ):
        if given is not None and not NEVER <= given <= LONGEST_KEPT:
            yield FieldViolation(f"route.lookup.{name}", "must be between 0 s and 7 days")
        elif given and lookup.ttl == NEVER:
            yield FieldViolation(f"route.lookup.{name}", "no answer is cached that could become stale: `ttl` is zero")
    oldest = lookup.max_precomputed_age
    if oldest is not None and not NEVER < oldest <= LONGEST_PRECOMPUTED:
        yield FieldViolation("route.lookup.max_precomputed_age", "must be above 0 s and at most 3650 days")


def hedging_violations(hedging: Hedging) -> Iterator[FieldViolation]:
    """Yield what is wrong with a route's hedging."""
    if hedging.delay is not None and not NEVER < hedging.delay <= LONGEST_DELAY:
        yield FieldViolation("route.hedging.delay", "must be above 0 s and at most 60 s")


def shadowing_violations(shadowing: Shadowing, variants: Collection[str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with a route's shadowing. variants: names of the route's."""
    if shadowing.variant not in variants:
        yield FieldViolation("route.shadowing.variant", f"'{shadowing.variant}' is no variant of the route")
    elif len(variants) < 2:
        yield FieldViolation("route.shadowing.variant", "no other variant answers whose requests could be copied")
    if not 0 < shadowing.share <= 1:
        yield FieldViolation("route.shadowing.share", f"{shadowing.share!r} must be above 0 and at most 1")
