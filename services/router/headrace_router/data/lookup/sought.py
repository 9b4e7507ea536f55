"""What one request looks for among kept answers: keys, and the ages that it may be given."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from headrace_router.data.lookup import keys
from headrace_router.data.lookup.counts import MODE_ONLINE, NO_ENTITY, NOT_KEPT, TOO_LARGE
from headrace_router.data.lookup.freshness import Bounds, bounds
from headrace_router.data.lookup.policy import Mode
from headrace_router.data.question import Question
from headrace_router.data.routes.table import Arm


@dataclass(slots=True)
class Sought:
    """What a request looks for.

    key: of its cached answer; None when it is not cached, `unkeyed` says why. precomputed: key of its precomputed
    answer; None when there can be none. place: of the latter in memory, where a selection of its outputs has its own.
    generation: of the precomputed answers. computes: whether the answer may be computed.
    """

    question: Question
    arm: Arm
    key: bytes | None
    unkeyed: str
    precomputed: bytes | None
    place: Hashable
    generation: int
    bound: Bounds
    ttl_s: float
    computes: bool


@dataclass(slots=True)
class Name:
    """Under what a request's answer is cached. key: None when it is not, `unkeyed` says why."""

    key: bytes | None
    unkeyed: str
    ttl_s: float


def name_of(question: Question, arm: Arm, default_ttl_s: float) -> Name:
    """Return under what the answer of an arm is cached."""
    policy = question.table.policy
    ttl_s = default_ttl_s if policy.ttl_s is None else policy.ttl_s
    if policy.mode is Mode.ONLINE:
        return Name(None, MODE_ONLINE, ttl_s)
    if not _computes(question, arm):
        return Name(None, "", ttl_s)
    return Name(*_key(question, arm, question.table.kept[arm.served.digest].cache, ttl_s), ttl_s)


def seek(question: Question, arm: Arm, name: Name, now_ms: Callable[[], float]) -> Sought:
    """Return what a request looks for. name: as `name_of` says. now_ms: the store's clock."""
    policy, kept = question.table.policy, question.table.kept[arm.served.digest]
    request, mode = question.request, policy.mode
    entity_id = request.entity_id
    precomputed = place = None
    counts = kept.generation and (not kept.expire_ms or now_ms() < kept.expire_ms)
    if counts and entity_id and question.layout.rows == 1 and mode is not Mode.ONLINE:
        precomputed = kept.precomputed + entity_id.encode()
        place = (precomputed, question.outputs) if question.outputs else precomputed
    bound = bounds(policy, name.ttl_s, name.key, request.max_age_s)
    if not question.last:
        bound.on_error = -1.0
    computes = _computes(question, arm)
    return Sought(
        question, arm, name.key, name.unkeyed, precomputed, place, kept.generation, bound, name.ttl_s, computes
    )  # fmt: skip


def _computes(question: Question, arm: Arm) -> bool:
    """Return whether the answer may be computed; a fallback of a route that computes nothing is there to compute."""
    return question.table.policy.mode is not Mode.BATCH or arm is not question.arm


def _key(question: Question, arm: Arm, prefix: bytes, ttl_s: float) -> tuple[bytes | None, str]:
    policy, entity_id, layout = question.table.policy, question.request.entity_id, question.layout
    signature_hash = arm.served.signature_hash
    if ttl_s <= 0:
        return None, NOT_KEPT
    if policy.by_entity:
        if not entity_id:
            return None, NO_ENTITY
        return keys.by_entity(prefix, signature_hash, layout.rows, question.outputs, entity_id), ""
    inputs = question.inputs
    if not policy.cache_large_inputs and sum(map(len, inputs)) > keys.LARGE_INPUTS_BYTES:
        return None, TOO_LARGE
    return keys.by_inputs(prefix, signature_hash, layout, inputs, question.outputs, entity_id), ""
