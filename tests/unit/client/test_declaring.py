"""What is sent when somebody changes one thing of a route: everything else stays."""

from datetime import timedelta

from headrace.router.v1 import route_pb2
from headrace_client.fallbacks import FallbackStep, Stale
from headrace_client.lookups import Hedging, Lookup
from headrace_client.operations.declarations import declared, with_shadow
from headrace_client.operations.routes import Production, Variant, Version

PRODUCTION = route_pb2.Variant(name="production", follow_production=True, weight=1)


def route(*variants: route_pb2.Variant, **fields) -> route_pb2.Route:
    return route_pb2.Route(name="routes/digits", etag="e1", variants=variants, **fields)


def arms(found: route_pb2.Route) -> list[tuple[str, str, float]]:
    return [(one.name, one.version or "production", one.weight) for one in found.variants]


def test_a_rule_brings_the_variant_that_it_needs_and_takes_it_along():
    with_rule = declared(route(PRODUCTION), rules=["country=DE -> v3"])
    assert arms(with_rule) == [("production", "production", 1), ("v3", "v3", 0)]
    assert [(rule.name, rule.variant) for rule in with_rule.rules] == [("country-de", "v3")]
    assert with_rule.etag == "e1"
    moved = declared(with_rule, rules=["country=DE -> v4"])
    assert arms(moved) == [("production", "production", 1), ("v4", "v4", 0)]
    cleared = declared(moved, rules=[])
    assert arms(cleared) == [("production", "production", 1)]
    assert not cleared.rules


def test_a_variant_that_somebody_declared_stays_when_its_rule_goes():
    challenger = route_pb2.Variant(name="challenger", version="v2", weight=0)
    shared = route_pb2.Variant(name="v3", version="v3", weight=2)
    pinnable = route_pb2.Variant(name="v4", version="v4", weight=0)
    before = route(PRODUCTION, challenger, shared, pinnable)
    ruled = declared(before, rules=["a -> challenger", "b -> v3"])
    assert arms(ruled) == arms(before)
    assert arms(declared(ruled, rules=())) == arms(before)


def test_a_split_keeps_the_rules_and_the_variants_that_only_they_name():
    ruled = declared(route(PRODUCTION), rules=["country=DE -> v3"])
    halves = declared(ruled, variants=[Variant("stable", Production(), 50), Variant("new", Version("v2"), 50)])
    assert arms(halves) == [("stable", "production", 50), ("new", "v2", 50), ("v3", "v3", 0)]
    assert list(halves.rules) == list(ruled.rules)
    named_too = declared(halves, variants=[Variant("v3", Version("v3"), 1)])
    assert arms(named_too) == [("v3", "v3", 1)]


def test_unit_and_wait_stay_unless_they_are_given():
    before = route(PRODUCTION, unit=route_pb2.Route.UNIT_ENTITY)
    before.max_wait.FromMilliseconds(3)
    after = declared(before, variants=[Variant("a", Version("v1"), 1)])
    assert (after.unit, after.max_wait.ToMilliseconds()) == (route_pb2.Route.UNIT_ENTITY, 3)
    changed = declared(before, unit=route_pb2.Route.UNIT_USER, max_wait=timedelta(milliseconds=5))
    assert (changed.unit, changed.max_wait.ToMilliseconds()) == (route_pb2.Route.UNIT_USER, 5)
    assert arms(changed) == arms(before)


LOOKUP = route_pb2.Lookup(mode=route_pb2.Lookup.MODE_BATCH, ttl=timedelta(seconds=60))
FALLBACK = [route_pb2.FallbackStep(name="filled", precomputed=True)]


def everything() -> route_pb2.Route:
    return route(PRODUCTION, lookup=LOOKUP, fallback=FALLBACK, hedging=route_pb2.Hedging())


def test_a_split_and_rules_keep_lookup_fallback_and_hedging():
    for changed in (
        declared(everything(), variants=[Variant("a", Version("v1"), 1)]),
        declared(everything(), rules=["country=DE -> v3"]),
    ):
        assert (changed.lookup, list(changed.fallback), changed.HasField("hedging")) == (LOOKUP, FALLBACK, True)


def test_what_is_not_given_of_a_lookup_stays_unless_it_is_reset():
    wanted = Lookup(stale_on_error=timedelta(minutes=10), cache_large_inputs=True)
    kept = declared(everything(), lookup=wanted).lookup
    assert (kept.mode, kept.ttl.seconds, kept.stale_on_error.seconds) == (LOOKUP.mode, 60, 600)
    assert kept.cache_large_inputs
    fresh = declared(everything(), lookup=wanted, reset_lookup=True).lookup
    assert (fresh.mode, fresh.HasField("ttl"), fresh.stale_on_error.seconds) == (0, False, 600)
    assert not declared(everything(), lookup=Lookup(), reset_lookup=True).HasField("lookup")


def test_fallbacks_are_replaced_and_cleared():
    replaced = declared(everything(), fallback=["backup:v1@cpu", FallbackStep(Stale(timedelta(minutes=1)))])
    assert [one.name for one in replaced.fallback] == ["backup-v1-cpu", "stale"]
    assert not declared(replaced, fallback=()).fallback
    assert arms(replaced) == arms(everything())


def test_hedging_is_turned_on_timed_and_turned_off():
    assert declared(route(PRODUCTION), hedging=Hedging()).HasField("hedging")
    timed = declared(everything(), hedging=Hedging(timedelta(milliseconds=20)))
    assert timed.hedging.delay.ToMilliseconds() == 20
    assert not declared(timed, hedging=Hedging()).hedging.HasField("delay")
    assert not declared(timed, hedging=None).HasField("hedging")
    assert declared(timed, lookup=Lookup()).hedging == timed.hedging


def test_a_split_leaves_variants_in_their_pool_unless_it_names_one():
    present = route(
        route_pb2.Variant(name="v1", version="v1", weight=9, pool="gpu"),
        route_pb2.Variant(name="v2", version="v2", weight=1, pool="gpu"),
    )
    shares = [Variant("v1", Version("v1"), 50), Variant("v2", Version("v2"), 50, "default")]
    found = declared(present, variants=[*shares, Variant("v3", Version("v3"), 1)])
    assert [(one.name, one.weight, one.pool) for one in found.variants] == [
        ("v1", 50, "gpu"),
        ("v2", 50, "default"),
        ("v3", 1, ""),
    ]


def test_a_shadow_is_a_variant_without_weight_and_takes_the_place_of_the_one_before():
    first = with_shadow(everything(), "v7", 0.25)
    assert (first.shadowing.variant, first.shadowing.share) == ("shadow", 0.25)
    assert [(one.name, one.version, one.weight) for one in first.variants][-1] == ("shadow", "v7", 0.0)
    second = with_shadow(first, "v8", 1.0)
    assert [one.version for one in second.variants if one.name == "shadow"] == ["v8"]
    assert declared(second, variants=[Variant("v1", Version("v1"), 1)]).variants[-1].name == "shadow"
    off = with_shadow(second, None, 1.0)
    assert not off.HasField("shadowing")
    assert off == everything()


def test_a_variant_that_only_a_rule_leads_to_may_be_the_shadow_and_stays():
    present = declared(route(PRODUCTION), rules=["beta -> v2"])
    shadowed = with_shadow(present, "v2", 0.5)
    assert (shadowed.shadowing.variant, len(shadowed.variants)) == ("v2", len(present.variants))
    assert with_shadow(shadowed, None, 1.0) == present
