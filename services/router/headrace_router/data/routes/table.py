"""One generation of a route, ready for look-ups, and how it is made of a message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from headrace.router.v1 import control_pb2

from headrace_router.buckets import bucket_of
from headrace_router.data.contract import contract_of
from headrace_router.data.fallbacks.rungs import Backup, Hedge, Rungs, hedge_of, rungs_of, same_version
from headrace_router.data.lookup.policy import KeptVersion, Policy, kept_of, policy_of
from headrace_router.data.messages import NO_ATTRIBUTES
from headrace_router.data.routes.splitting import Unit, check_ends, position_of, unit_of
from headrace_router.data.served import ServedVersion
from headrace_router.rules import Attributes, Decide, compile_rules, condition_of

NOTHING_KEPT: Mapping[str, KeptVersion] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer. variant: empty for a pinned version. rule: that leads here; empty for the weights."""

    variant: str
    served: ServedVersion
    pool: str
    rule: str = ""


class Table:
    """One generation of a route, ready for look-ups.

    max_wait_us: longest wait for batch-mates; None leaves it to the version. open: requests admitted under this table
    and not yet answered; whoever admits one counts it up, and down through `Tables.release`. decide: gives the position
    in `ruled` of the arm that a rule sends a request to; None when there are no rules. fallback: what answers when an
    arm cannot, in order; pinned_fallback: for requests that pin their version. hedge: None means that nobody is hedged.
    unit: what is assigned. policy: how answers are looked up. kept: which kept answers of each version count, by
    digest.
    """

    __slots__ = (
        "_arms", "_decide", "_ends", "_pinned", "_ruled", "_salt",
        "fallback", "generation", "hedge", "kept", "max_wait_us", "model", "open", "pinned_fallback", "policy",
        "retired", "unit",
    )  # fmt: skip

    def __init__(
        self,
        model: str,
        generation: int,
        *,
        arms: Iterable[Arm],
        ends: Iterable[int],
        pinned: dict[str, Arm],
        salt: bytes,
        unit: Unit,
        max_wait_us: int | None,
        decide: Decide | None = None,
        ruled: Iterable[Arm] = (),
        fallback: Rungs = (),
        hedge: Hedge | None = None,
        policy: Policy = Policy(),  # noqa: B008 - it cannot be changed
        kept: Mapping[str, KeptVersion] = NOTHING_KEPT,
    ) -> None:
        self.model, self.generation, self.max_wait_us = model, generation, max_wait_us
        self._arms, self._ends = tuple(arms), tuple(ends)
        self._pinned, self._salt, self.unit = pinned, salt, unit
        self._decide, self._ruled = decide, tuple(ruled)
        self.fallback, self.pinned_fallback, self.hedge = fallback, same_version(fallback), hedge
        self.policy, self.kept = policy, kept
        self.open = 0
        self.retired = False

    def assign(self, *, user_id: str, entity_id: str, request_id: str, attributes: Attributes = NO_ATTRIBUTES) -> Arm:
        """Return the arm of the first rule that matches the attributes, else the one of the caller's unit."""
        if self._decide is not None:
            position = self._decide(attributes)
            if position is not None:
                return self._ruled[position]
        if len(self._arms) == 1:
            return self._arms[0]
        unit = unit_of(self.unit, user_id=user_id, entity_id=entity_id, request_id=request_id)
        return self._arms[position_of(self._salt, self._ends, unit)]

    def bucket(self, *, user_id: str, entity_id: str, request_id: str) -> int | None:
        """Return the bucket of the caller's unit, None where there is nothing to choose and none is hashed."""
        if len(self._arms) == 1:
            return None
        return bucket_of(self._salt, unit_of(self.unit, user_id=user_id, entity_id=entity_id, request_id=request_id))

    def pin(self, version: str) -> Arm | None:
        """Return the arm of a version that the route names, or None."""
        return self._pinned.get(version)

    def weighted(self) -> Mapping[Arm, int]:
        """Return the arms that the weights lead to, with their buckets."""
        buckets: Counter[Arm] = Counter()
        for arm, begin, end in zip(self._arms, (0, *self._ends), self._ends, strict=False):
            buckets[arm] += end - begin
        return buckets

    def named(self) -> Iterable[Arm]:
        """Return one arm for each version that the route names, in the order of its variants."""
        return self._pinned.values()

    def served_versions(self) -> Iterator[ServedVersion]:
        """Yield the versions that the route names."""
        yield from (arm.served for arm in self._pinned.values())
        yield from (rung.served for rung in self.fallback if isinstance(rung, Backup) and rung.served is not None)


def table_of(proto: control_pb2.RouteTable, known: dict[str, ServedVersion], incarnation: str = "") -> Table:
    """Return the table of a message. Raises ValueError for one that could not decide every request.

    known: versions already in use, by digest; a version keeps the layouts that it has learnt. incarnation: of the store
    that numbered the generation.
    """
    versions = {one.digest: known.get(one.digest) or _served(one) for one in proto.versions}
    arms = []
    for variant in proto.variants:
        if variant.digest not in versions:
            raise ValueError(f"variant {variant.name!r} names version {variant.digest!r}, which is not in the table")
        arms.append(Arm(variant.name, versions[variant.digest], variant.pool or "default"))
    ends = [item.end for item in proto.ranges]
    check_ends(ends)
    if any(not 0 <= item.variant < len(arms) for item in proto.ranges):
        raise ValueError("a range names a variant that is not in the table")
    if not 1 <= len(proto.salt) <= 64:  # what blake2b takes as a key
        raise ValueError(f"salt has {len(proto.salt)} bytes, not 16")
    decide = compile_rules([[condition_of(one) for one in rule.conditions] for rule in proto.rules])
    pinned: dict[str, Arm] = {}
    for arm in arms:
        pinned.setdefault(arm.served.version, replace(arm, variant=""))
    return Table(
        proto.model,
        proto.generation,
        arms=[arms[item.variant] for item in proto.ranges],
        ends=ends,
        pinned=pinned,
        salt=proto.salt,
        unit=proto.unit,
        max_wait_us=proto.max_wait.ToMicroseconds() if proto.HasField("max_wait") else None,
        decide=decide if proto.rules else None,
        ruled=[_arm_of(rule, arms) for rule in proto.rules],
        fallback=rungs_of(proto.fallback, versions, [arm.served for arm in arms]),
        hedge=hedge_of(proto),
        policy=policy_of(proto.lookup, proto.fallback),
        kept=kept_of(incarnation, versions, proto.kept_answers),
    )


def _arm_of(rule: control_pb2.ResolvedRule, arms: Sequence[Arm]) -> Arm:
    if not (rule.conditions and 0 <= rule.variant < len(arms)):
        raise ValueError(f"rule {rule.name!r} has no condition, or names a variant that is not in the table")
    return replace(arms[rule.variant], rule=rule.name)


def _served(proto: control_pb2.ResolvedVersion) -> ServedVersion:
    return ServedVersion(proto.model, proto.version, proto.digest, proto.signature_hash, contract_of(proto.contract))
