"""Routes of digits and changes of them with something in every field, for stores to keep."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.allocation import Range, allocate
from headrace_router.control.decisions.fallback_steps import (
    Backup,
    Constant,
    EntityTable,
    FallbackStep,
    Precomputed,
    Stale,
)
from headrace_router.control.decisions.lookups import Hedging, Key, Lookup, Mode
from headrace_router.control.decisions.names import Serves
from headrace_router.control.decisions.resolve import Registered, ResolvedBackup, ResolvedVariant
from headrace_router.control.decisions.routes import Route, Unit, Variant
from headrace_router.control.decisions.states import (
    Announcement,
    Change,
    Ended,
    Generation,
    Kind,
    Outcome,
    RouteState,
    Step,
    Table,
    Writer,
)
from headrace_router.control.decisions.stored_answers import received_of
from headrace_router.control.storage.store import Store
from headrace_router.rules import Condition, Operator, Rule

NOW = datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WRITER = Writer("ana", "more treatment", "rollouts/7", force=True)


def state(model: str = "digits") -> RouteState:
    """Return a route that nobody has declared, of a model in production."""
    return RouteState(model, b"s" * 16, Registered(model, "one", 3, "v1", {"champion": "v1"}, {"v1": "d1"}))


def change(kind: Kind = Kind.WRITE, etag: str = "e1") -> Change:
    """Return a change to a route with everything that a route can have."""
    variants = (
        Variant("a", Serves.VERSION, "v1", 0.9),
        Variant("b", Serves.ALIAS, "champion", 0.1, "cpu"),
        Variant("c", Serves.PRODUCTION, "", 0.0),
    )
    rules = (
        Rule("germans", (Condition("country", Operator.ANY_OF, ("DE", "AT")), Condition("beta", Operator.ABSENT)), "b"),
        Rule("ios", (Condition("app", Operator.PREFIX, ("ios-",)),), "c"),
    )
    lookup = Lookup(Mode.BATCH, Key.ENTITY, MINUTE, timedelta(0), MINUTE, MINUTE, True)
    fallback = (
        FallbackStep("old", Backup(Serves.ALIAS, "champion", "cpu"), timedelta(microseconds=1)),
        FallbackStep("elsewhere", Backup(None, "", "cpu")),
        FallbackStep("filled", Precomputed()),
        FallbackStep("aged", Stale(MINUTE)),
        FallbackStep("by-entity", EntityTable(b"\x00\xff", 3)),
        FallbackStep("last", Constant(b"")),
    )
    hedging = Hedging(timedelta(milliseconds=20))
    route = Route("digits", variants, Unit.USER, 2500, etag, NOW, "ana", rules, "rollouts/7", lookup, fallback, hedging)
    resolved = tuple(ResolvedVariant(one.name, "v1", "d1", one.pool) for one in variants)
    backups = (ResolvedBackup("old", "v1", "d1", "cpu"), ResolvedBackup("elsewhere", "", "", "cpu"))
    ranges = allocate((), route.weights)
    table = Table(resolved, ranges, Unit.USER, 2500, rules, lookup, fallback, backups, hedging)
    assert table.ranges == (Range(900_000, "a"), Range(BUCKETS, "b"))
    writer = WRITER if kind is Kind.WRITE else None
    return Change(uuid4(), kind, route, table, 3, NOW, 0.1, writer, "rollouts/6")


def begun(known: RouteState, waits: Change) -> Step:
    """Return the step with which a change begins."""
    return Step(replace(known, pending=waits), began=(waits,))


def activated(known: RouteState, waits: Change) -> Step:
    """Return the step with which a change takes effect."""
    active = Generation(0, waits.table, waits.epoch, NOW, waits.id, received_of(known.kept, waits.table.digests))
    after = replace(known, pending=None, active=active, route=waits.route)
    return Step(after, ended=(Ended(waits, Outcome.ACTIVE),), announcement=Announcement.TABLE)


async def incarnation_of(store: Store) -> str:
    """Return which store this is."""
    return (await store.news(0, 0)).incarnation
