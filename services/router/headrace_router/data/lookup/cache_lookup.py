"""What one request looks for among stored answers: keys, and the ages that it may be given."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from headrace_router.data.lookup.decisions import keys
from headrace_router.data.lookup.decisions.freshness import Bounds, bounds
from headrace_router.data.lookup.metrics import MODE_ONLINE, NO_ENTITY, NOT_KEPT, TOO_LARGE, TOO_OLD
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.decisions.lookup_policy import Mode
from headrace_router.data.tables.table import Variant


@dataclass(slots=True)
class CacheLookup:
    """What a request looks for.

    key: of its cached answer; None when it is not cached, `unkeyed` says why. precomputed: key of its precomputed
    answer; None when there can be none. place: of the latter in memory, where a selection of its outputs has its own.
    generation: of the precomputed answers. computes: whether the answer may be computed.
    """

    resolved: ResolvedRequest
    variant: Variant
    key: bytes | None
    unkeyed: str
    precomputed: bytes | None
    place: Hashable
    generation: int
    bound: Bounds
    ttl_s: float
    computes: bool


def cache_key_of(resolved: ResolvedRequest, variant: Variant, default_ttl_s: float) -> tuple[bytes | None, str, float]:
    """Return the key under which the answer of a variant is cached, why there is none, and the ttl."""
    policy = resolved.table.policy
    ttl_s = default_ttl_s if policy.ttl_s is None else policy.ttl_s
    if policy.mode is Mode.ONLINE:
        return None, MODE_ONLINE, ttl_s
    if not _computes(resolved, variant):
        return None, "", ttl_s
    return *_key(resolved, variant, resolved.table.kept[variant.served.digest].cache, ttl_s), ttl_s


def cache_lookup_of(
    resolved: ResolvedRequest,
    variant: Variant,
    key: bytes | None,
    unkeyed: str,
    ttl_s: float,
    now_ms: Callable[[], float],
) -> CacheLookup:
    """Return what a request looks for. key, unkeyed, ttl_s: of `cache_key_of`. now_ms: the store's clock."""
    policy, kept = resolved.table.policy, resolved.table.kept[variant.served.digest]
    request, mode = resolved.request, policy.mode
    entity_id = request.entity_id
    precomputed = place = None
    counts = kept.generation and (not kept.expire_ms or now_ms() < kept.expire_ms)
    if counts and entity_id and resolved.layout.rows == 1 and mode is not Mode.ONLINE:
        precomputed = kept.precomputed + entity_id.encode()
        place = (precomputed, resolved.outputs) if resolved.outputs else precomputed
    bound = bounds(policy, ttl_s, key, request.max_age_s, parts_s(resolved, variant))
    if not resolved.last:
        bound.on_error = -1.0
    computes = _computes(resolved, variant)
    return CacheLookup(
        resolved, variant, key, unkeyed, precomputed, place, kept.generation, bound, ttl_s, computes
    )  # fmt: skip


def parts_s(resolved: ResolvedRequest, variant: Variant) -> float:
    """Return how old, for a request that says how old is too old, the parts of an answer may be that was made just now.

    A pipeline's steps may give what they kept.
    """
    plan = variant.served.pipeline
    return 0.0 if plan is None or resolved.request.max_age_s is None else plan.kept_s


def _computes(resolved: ResolvedRequest, variant: Variant) -> bool:
    """Return whether the answer may be computed; a fallback of a route that computes nothing is there to compute."""
    return resolved.table.policy.mode is not Mode.BATCH or variant is not resolved.variant


def _key(resolved: ResolvedRequest, variant: Variant, prefix: bytes, ttl_s: float) -> tuple[bytes | None, str]:
    policy, entity_id, layout = resolved.table.policy, resolved.request.entity_id, resolved.layout
    signature_hash = variant.served.signature_hash
    if variant.served.pipeline is not None:
        if 0 < (resolved.request.max_age_s or 0) <= parts_s(resolved, variant):
            return None, TOO_OLD  # an answer that others share may be made of older parts
        if variant.served.pipeline.attributes:
            signature_hash += f"|{variant.served.pipeline.selection(resolved.request.attributes)}"
    if ttl_s <= 0:
        return None, NOT_KEPT
    if policy.by_entity:
        if not entity_id:
            return None, NO_ENTITY
        return keys.by_entity(prefix, signature_hash, layout.rows, resolved.outputs, entity_id), ""
    inputs = resolved.inputs
    if not policy.cache_large_inputs and sum(map(len, inputs)) > keys.LARGE_INPUTS_BYTES:
        return None, TOO_LARGE
    return keys.by_inputs(prefix, signature_hash, layout, inputs, resolved.outputs, entity_id), ""
