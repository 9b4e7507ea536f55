"""The fallback chain over sources that a test holds in its hand.

world = World({("v1", "default"): HEALTHY})
found = await climbed(world, backup("small", V2, "cpu"), ZERO)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.router.v1 import control_pb2, route_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.batchers.decisions.balance import RetryBudget
from headrace_router.data.fallbacks.chain import FallbackChain, Find
from headrace_router.data.fallbacks.degraded import DegradedAnswers
from headrace_router.data.request.request import Call, Request, ResolvedRequest, Tensors
from headrace_router.data.tables.served import ServedVersion
from headrace_router.data.tables.table import Table, Variant, table_of
from headrace_servicekit.errors import Code, FieldViolation, InvalidArgument, ServiceError, error_for
from headrace_servicekit.identity import Identity

from tests.kit.router.digits import V1, V2
from tests.kit.router.fake_control import resolved_version, table
from tests.kit.router.fallback_steps import constant
from tests.kit.router.lookup_bench import DOWN

OTHER = resolved_version(
    "digits",
    "other",
    inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32", shape=[8])],
    outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32", shape=[1])],
)
NAN = InvalidArgument("NaN", reason="NAN_NOT_ALLOWED", violations=[FieldViolation("contract[0]", "has NaN")])


@dataclass
class Outcome:
    """What a source does: takes its time, within what it is given, and then answers or fails."""

    answer: bytes | ServiceError | None = b"answer"
    takes_s: float = 0.0


@dataclass
class World:
    """Sources and their prospects, on a clock that only their work moves. asked: what was asked, in order."""

    online: Mapping[tuple[str, str], Outcome]
    needs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    kept_answer: bytes | None = None
    stale_answer: Outcome = field(default_factory=lambda: Outcome(None))
    precomputed_answer: Outcome = field(default_factory=lambda: Outcome(None))
    on_error: bytes | None = None
    anew: bool = False
    asked: list[str] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    raised: list[tuple[str, ServiceError]] = field(default_factory=list)
    at: float = 0.0

    def now(self) -> float:
        return self.at

    def stage(self, table: Table) -> Find:
        return lambda resolved: self.find(resolved, resolved.variant, resolved.call.deadline)

    async def find(self, resolved: ResolvedRequest, variant: Variant, deadline: float) -> Answer:
        outcome = self.online.get((variant.served.version, variant.pool), Outcome(DOWN))
        self.asked.append(f"{variant.served.version}@{variant.pool}")
        self.again.append(resolved.again)
        self.last.append(resolved.last)
        if self.at + outcome.takes_s > deadline:
            self.at = max(self.at, deadline)
            raise error_for(Code.DEADLINE_EXCEEDED, "late", reason="DEADLINE_PASSED")
        return self._answered(outcome, Answer(b"", ServedFrom.ONLINE, variant.served))

    async def kept(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        return Answer(self.kept_answer, ServedFrom.CACHE, variant.served) if self.kept_answer else None

    async def kept_stale(self, resolved: ResolvedRequest, variant: Variant, max_age_s: float) -> Answer | None:
        self.asked.append(f"stale {max_age_s:g}")
        found = self._answered(self.stale_answer, Answer(b"", ServedFrom.STALE, variant.served, age_ms=9))
        return found if found.outputs else None

    async def stale_on_error(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        return Answer(self.on_error, ServedFrom.STALE, variant.served) if self.on_error else None

    async def precomputed(self, resolved: ResolvedRequest, variant: Variant) -> Answer | None:
        self.asked.append("precomputed")
        found = self._answered(self.precomputed_answer, Answer(b"", ServedFrom.PRECOMPUTED, variant.served))
        return found if found.outputs else None

    def needs_s(self, pool: str, served: ServedVersion, attributes: Mapping[str, str]) -> float:
        version = {one.digest: one.version for one in (V1, V2, OTHER)}[served.digest]
        return self.needs.get((version, pool), 0.01)

    def renews(self, pool: str, served: ServedVersion) -> bool:
        return self.anew

    def _answered(self, outcome: Outcome, found: Answer) -> Answer:
        self.at += outcome.takes_s
        if isinstance(outcome.answer, ServiceError):
            self.raised.append((self.asked[-1], outcome.answer))
            raise outcome.answer
        return replace(found, outputs=outcome.answer or b"")


def resolved(
    *steps: control_pb2.ResolvedFallbackStep,
    left_s: float = 1.0,
    entity: str = "",
    pinned: str = "",
    rows: int = 1,
    outputs: tuple[str, ...] = (),
    mode: route_pb2.Lookup.Mode | None = None,
) -> ResolvedRequest:
    """Return a request for digits, of which v1 answers, under a route with these fallbacks."""
    proto = table("digits", [V1, V2, OTHER])
    proto.lookup.CopyFrom(route_pb2.Lookup(mode=mode))
    proto.fallback.extend(steps)
    made = table_of(proto, {})
    variant = made.pin(pinned) if pinned else made.assign(user_id="u", entity_id="", request_id="r")
    assert variant is not None
    tensors = Tensors((("x", "FP32", rows, 4),), (bytes(16 * rows),))
    layout = variant.served.layout(tensors.described, 64)
    request = Request("digits", lambda _contract, _max_rows: tensors, version=pinned, entity_id=entity, outputs=outputs)
    wanted = variant.served.selection(outputs)
    return ResolvedRequest(
        made, variant, request, Call(Identity("ana"), "r", left_s), tensors, layout, tensors.contents, wanted
    )


def chain(world: World, *, tokens: float = 100.0, degraded: DegradedAnswers | None = None) -> FallbackChain:
    """Return the fallback chain over a world. tokens: how often more it may ask again; nothing earns more."""
    budget = RetryBudget(0.0, tokens)
    return FallbackChain(world, world, budget, degraded or DegradedAnswers(), max_rows=64, now=world.now)


async def fallen_back(
    world: World, *steps: control_pb2.ResolvedFallbackStep, tokens: float = 100.0, **asked: Any
) -> Answer:
    """Return what a request finds; asked: how, as of `request`."""
    return await chain(world, tokens=tokens).find(resolved(*steps, **asked))


def told(found: Answer) -> tuple[str, str, str, str]:
    """Return where an answer comes from: source, version, step and why it is degraded."""
    return (
        found.served_from.name,
        found.served.version if found.served else "",
        found.fallback_step,
        found.degraded_reason,
    )


ZERO = constant("zero", 0.0)
HEALTHY = Outcome()
BROKEN = Outcome(DOWN)
