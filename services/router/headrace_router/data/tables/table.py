"""One generation of a route, ready for look-ups, and how it is made of a message."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from zlib import crc32

from headrace.router.v1 import control_pb2, route_pb2

from headrace_router.buckets import BUCKETS, bucket_of
from headrace_router.data.tables.contract import contract_of
from headrace_router.data.tables.decisions.fallback_steps import (
    Backup,
    FallbackSteps,
    Hedge,
    hedge_of,
    same_version,
    steps_of,
)
from headrace_router.data.tables.decisions.lookup_policy import (
    Policy,
    StoredVersion,
    policy_of,
    stored_of,
)
from headrace_router.data.tables.decisions.plans import plan_of
from headrace_router.data.tables.served import ServedVersion
from headrace_router.rules import NO_ATTRIBUTES, Attributes, Decide, compile_rules, condition_of

NOTHING_STORED: Mapping[str, StoredVersion] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to answer. name: empty for a pinned version. rule: that leads here; empty for the weights."""

    name: str
    served: ServedVersion
    pool: str
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Shadow:
    """The variant that gets copies of what others computed. below: the points of the predictions that are copied lie
    below it. keeps: whether its answers are cached."""

    variant: Variant
    below: int
    keeps: bool = False


class Table:
    """One generation of a route, ready for look-ups.

    max_wait_us: longest wait for batch-mates; None leaves it to the version. open: requests admitted under this table
    and not yet answered; who admits one counts it up and down, and calls `Tables.answered` where it is retired.
    decide: gives the position in `ruled` of the variant that a rule sends a request to; None when there are no rules.
    fallback: what answers when a variant cannot, in order; pinned_fallback: for requests that pin their version.
    hedge: None means that no request is hedged. unit: what is assigned. policy: how answers are looked up. kept: which
    stored answers of each version count, by digest. shadow: None means that no version gets copies. splits_units:
    whether users or entities are assigned to several variants, which are then compared by units. stages: of its
    requests, as `Tables.prepare` has them made; what the route does not declare has none.
    """

    __slots__ = (
        "_decide",
        "_ends",
        "_pinned",
        "_ruled",
        "_salt",
        "_variants",
        "fallback",
        "generation",
        "hedge",
        "kept",
        "max_wait_us",
        "model",
        "open",
        "pinned_fallback",
        "policy",
        "retired",
        "shadow",
        "splits_units",
        "stages",
        "unit",
    )  # fmt: skip

    def __init__(
        self,
        model: str,
        generation: int,
        *,
        variants: Iterable[Variant],
        ends: Iterable[int],
        pinned: dict[str, Variant],
        salt: bytes,
        unit: Unit,
        max_wait_us: int | None,
        decide: Decide | None = None,
        ruled: Iterable[Variant] = (),
        fallback: FallbackSteps = (),
        hedge: Hedge | None = None,
        policy: Policy = Policy(),  # noqa: B008 - it cannot be changed
        kept: Mapping[str, StoredVersion] = NOTHING_STORED,
        shadow: Shadow | None = None,
    ) -> None:
        self.model, self.generation, self.max_wait_us = model, generation, max_wait_us
        self._variants, self._ends = tuple(variants), tuple(ends)
        self._pinned, self._salt, self.unit = pinned, salt, unit
        self.splits_units = len(self._variants) > 1 and not assigns_requests(unit)
        self._decide, self._ruled = decide, tuple(ruled)
        self.fallback, self.pinned_fallback, self.hedge = fallback, same_version(fallback), hedge
        self.policy, self.kept, self.shadow = policy, kept, shadow
        self.open = 0
        self.retired = False
        self.stages: Any = None

    def assign(
        self, *, user_id: str, entity_id: str, request_id: str, attributes: Attributes = NO_ATTRIBUTES
    ) -> Variant:
        """Return the variant of the first rule that matches the attributes, else the one of the caller's unit."""
        if self._decide is not None:
            position = self._decide(attributes)
            if position is not None:
                return self._ruled[position]
        if len(self._variants) == 1:
            return self._variants[0]
        unit = unit_of(self.unit, user_id=user_id, entity_id=entity_id, request_id=request_id)
        return self._variants[position_of(self._salt, self._ends, unit)]

    def bucket(self, *, user_id: str, entity_id: str, request_id: str) -> int | None:
        """Return the bucket of the caller's unit, None where there is nothing to choose and none is hashed."""
        if len(self._variants) == 1:
            return None
        return bucket_of(self._salt, unit_of(self.unit, user_id=user_id, entity_id=entity_id, request_id=request_id))

    def assigned_alike(self, user_id: str, entity_id: str) -> bool:
        """Return whether requests of a user and an entity, either may be empty, all get the same variant."""
        return len(self._variants) == 1 or unit_of(self.unit, user_id=user_id, entity_id=entity_id, request_id="") != ""

    def pin(self, version: str) -> Variant | None:
        """Return the variant of a version that the route names, or None."""
        return self._pinned.get(version)

    def weighted(self) -> Mapping[Variant, int]:
        """Return the variants that the weights lead to, with their buckets."""
        buckets: Counter[Variant] = Counter()
        for variant, begin, end in zip(self._variants, (0, *self._ends), self._ends, strict=False):
            buckets[variant] += end - begin
        return buckets

    def named(self) -> Iterable[Variant]:
        """Return one variant for each version that the route names, in the order of its variants."""
        return self._pinned.values()

    def served_versions(self) -> Iterator[ServedVersion]:
        """Yield the versions that the route names."""
        yield from (variant.served for variant in self._pinned.values())
        yield from (step.served for step in self.fallback if isinstance(step, Backup) and step.served is not None)


def table_of(proto: control_pb2.RouteTable, known: dict[str, ServedVersion], incarnation: str = "") -> Table:
    """Return the table of a message. Raises ValueError for one that could not decide every request.

    known: versions already in use, by digest; a version keeps the layouts that it has learnt. incarnation: of the store
    that numbered the generation.
    """
    versions = {one.digest: known.get(one.digest) or _served(one) for one in proto.versions}
    variants = []
    for variant in proto.variants:
        if variant.digest not in versions:
            raise ValueError(f"variant {variant.name!r} names version {variant.digest!r}, which is not in the table")
        variants.append(Variant(variant.name, versions[variant.digest], variant.pool or "default"))
    ends = [item.end for item in proto.ranges]
    check_ends(ends)
    if any(not 0 <= item.variant < len(variants) for item in proto.ranges):
        raise ValueError("a range names a variant that is not in the table")
    if not 1 <= len(proto.salt) <= 64:  # what blake2b takes as a key
        raise ValueError(f"salt has {len(proto.salt)} bytes, not 16")
    decide = compile_rules([[condition_of(one) for one in rule.conditions] for rule in proto.rules])
    pinned: dict[str, Variant] = {}
    for variant in variants:
        pinned.setdefault(variant.served.version, replace(variant, name=""))
    return Table(
        proto.model,
        proto.generation,
        variants=[variants[item.variant] for item in proto.ranges],
        ends=ends,
        pinned=pinned,
        salt=proto.salt,
        unit=proto.unit,
        max_wait_us=proto.max_wait.ToMicroseconds() if proto.HasField("max_wait") else None,
        decide=decide if proto.rules else None,
        ruled=[_variant_of(rule, variants) for rule in proto.rules],
        fallback=steps_of(proto.fallback, versions, [variant.served for variant in variants]),
        hedge=hedge_of(proto),
        policy=policy_of(proto.lookup, proto.fallback),
        kept=stored_of(incarnation, versions, proto.stored_answers),
        shadow=_shadow_of(proto, variants),
    )


def _shadow_of(proto: control_pb2.RouteTable, variants: Sequence[Variant]) -> Shadow | None:
    if not proto.HasField("shadowing"):
        return None
    position, share = proto.shadowing.variant, proto.shadowing.share
    if not (0 <= position < len(variants) and 0 < share <= 1):
        raise ValueError(f"shadowing names variant {position} and a share of {share}")
    return Shadow(variants[position], int(share * POINTS), proto.shadowing.keeps_answers)


def _variant_of(rule: control_pb2.ResolvedRule, variants: Sequence[Variant]) -> Variant:
    if not (rule.conditions and 0 <= rule.variant < len(variants)):
        raise ValueError(f"rule {rule.name!r} has no condition, or names a variant that is not in the table")
    return replace(variants[rule.variant], rule=rule.name)


def _served(proto: control_pb2.ResolvedVersion) -> ServedVersion:
    contract, plan = contract_of(proto.contract), None
    if proto.HasField("pipeline"):
        members = {member.digest: _served(member) for member in proto.members}
        plan, contract = plan_of(proto.pipeline, members, contract, name=f"{proto.model}/{proto.version}")
    return ServedVersion(proto.model, proto.version, proto.digest, proto.signature_hash, contract, plan)


Unit = route_pb2.Route.Unit

POINTS = 2**32
_MIXER = 0x9E3779B1  # the prime nearest to the golden section of POINTS


def unit_of(unit: Unit, *, user_id: str, entity_id: str, request_id: str) -> str:
    """Return the id that is assigned.

    A route that assigns by user or entity falls back to the request when the call names none: such a call is served,
    and is sticky to nothing. Unspecified means the user when given, else the entity, else the request.
    """
    if unit == route_pb2.Route.UNIT_UNSPECIFIED:
        return user_id or entity_id or request_id
    if unit == route_pb2.Route.UNIT_USER:
        return user_id or request_id
    if unit == route_pb2.Route.UNIT_ENTITY:
        return entity_id or request_id
    return request_id


def assigns_requests(unit: Unit) -> bool:
    """Return whether each request is assigned by itself, regardless of its sender."""
    return unit == route_pb2.Route.UNIT_REQUEST


def position_of(salt: bytes, ends: Sequence[int], unit: str) -> int:
    """Return the position of the range that the unit's bucket falls into; `ends` rise and the last is BUCKETS."""
    return bisect_right(ends, bucket_of(salt, unit))


def check_ends(ends: Sequence[int]) -> None:
    """Raise ValueError unless the ranges cover every bucket exactly once."""
    before = 0
    for end in ends:
        if end <= before:
            raise ValueError(f"ranges must rise: {end} follows {before}")
        before = end
    if before != BUCKETS:
        raise ValueError(f"ranges end at {before}, not at {BUCKETS}")


def point_of(unit: str) -> int:
    """Return a unit's place among POINTS, the same on every data plane.

    For a quarter of what a cryptographic hash takes: a checksum, whose upper bits the multiplication mixes (Knuth, The
    Art of Computer Programming, 6.4, multiplicative hashing). Routes assign by another hash, so that those who are in
    are in all variants alike.
    """
    return crc32(unit.encode()) * _MIXER % POINTS
