"""What one request looks for among stored answers: keys, the ages that it may be given, and what it is given.

The key is a digest over every part that the answer may depend on, each behind its length, so that no two requests that
differ in a part have the same bytes under the digest. Ages are in seconds. All of it is a function of data and time.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from headrace_router.data.lookup.metrics import MODE_ONLINE, NO_ENTITY, NOT_KEPT, TOO_LARGE, TOO_OLD
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.decisions.lookup_policy import Mode, Policy
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
    if policy.mode is Mode.BATCH and variant is resolved.variant:
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
        return by_entity(prefix, signature_hash, layout.rows, resolved.outputs, entity_id), ""
    inputs = resolved.inputs
    if not policy.cache_large_inputs and sum(map(len, inputs)) > LARGE_INPUTS_BYTES:
        return None, TOO_LARGE
    return by_inputs(prefix, signature_hash, layout, inputs, resolved.outputs, entity_id), ""


JITTER = 0.1
"""Largest share by which an entry's own time is shorter than the ttl: entries made together do not end together."""
FUTURE_S = 1.0
"""An entry that is this much younger than now says nothing about its age: one of two clocks was set."""


@dataclass(slots=True)
class Bounds:
    """Oldest answers that a request may be given, in seconds; negative for none at all.

    cached: fresh ones. revalidated: past their time, while a new one is computed. on_error: when nothing can answer.
    precomputed: of those.
    """

    cached: float
    revalidated: float
    on_error: float
    precomputed: float


@dataclass(slots=True)
class StoredAnswer:
    """A stored answer. age_s: never negative. layer: that had it, `memory` or `valkey`."""

    outputs: bytes
    age_s: float
    precomputed: bool
    layer: str


@dataclass(slots=True)
class Choice:
    """What is given. stale: past its time, so that a new one is to be computed. too_old: why nothing is given."""

    kept: StoredAnswer | None
    stale: bool = False
    too_old: bool = False


_NOTHING = Choice(None)


def bounds(policy: Policy, ttl_s: float, key: bytes | None, max_age_s: float | None, parts_s: float = 0.0) -> Bounds:
    """Return the bounds of one request.

    key: its last byte draws the jitter; None when the request is not cached. max_age_s: the caller's; an answer of that
    age is the oldest given, and 0 accepts no stored answer. parts_s: how old what a cached answer is made of may have
    been when it was made, which counts for the caller as its age does.
    """
    oldest = math.inf if max_age_s is None else max_age_s if max_age_s > 0 else -1.0
    precomputed = min(policy.max_precomputed_age_s, oldest)
    if key is None:
        return Bounds(-1.0, -1.0, -1.0, precomputed)
    oldest -= parts_s
    return Bounds(
        min(own_ttl_s(ttl_s, key), oldest),
        min(ttl_s + policy.stale_while_revalidate_s, oldest) if policy.stale_while_revalidate_s else -1.0,
        min(ttl_s + policy.stale_on_error_s, oldest) if policy.stale_on_error_s else -1.0,
        precomputed,
    )


def own_ttl_s(ttl_s: float, key: bytes) -> float:
    """Return how long an entry is fresh: up to a tenth less than the ttl, the same in every data plane."""
    return ttl_s * (1.0 - JITTER * key[-1] / 255)


def kept_for_s(policy: Policy, ttl_s: float) -> float:
    """Return for how long an answer may be of use to anybody."""
    late = max(policy.stale_while_revalidate_s, policy.stale_on_error_s)
    return max(ttl_s + late, policy.longest_stale_s)


def choose(bound: Bounds, cached: StoredAnswer | None, precomputed: StoredAnswer | None) -> Choice:
    """Return the younger of what may be given; else a cached one that is past its time."""
    if cached is None and precomputed is None:
        return _NOTHING
    usable = [
        one
        for one, oldest in ((cached, bound.cached), (precomputed, bound.precomputed))
        if one is not None and one.age_s <= oldest
    ]
    if usable:
        return Choice(min(usable, key=_age))
    if cached is not None and cached.age_s <= bound.revalidated:
        return Choice(cached, stale=True)
    return Choice(None, too_old=cached is not None or precomputed is not None)


def age_of(now_ms: float, computed_at_ms: int) -> float | None:
    """Return the age of an entry; None for one from the future, whose age is unknown."""
    age = (now_ms - computed_at_ms) / 1000
    return max(0.0, age) if age >= -FUTURE_S else None


def _age(kept: StoredAnswer) -> float:
    return kept.age_s


# Digesting takes some 0.5 ms per MiB, during which the event loop serves no other request.
LARGE_INPUTS_BYTES = 64 * 1024
_DIGEST_BYTES = 16
_HEAD = struct.Struct("<?7I")


def by_inputs(
    prefix: bytes, signature_hash: str, layout: Layout, inputs: Sequence[bytes], outputs: Sequence[int], entity_id: str
) -> bytes:
    """Return the key of requests that are the same when their inputs are, and the entity when given.

    prefix: of the version's cache (`stored_answers.cache_prefix`). inputs: those present, in the order of the contract.
    """
    entity = entity_id.encode()
    lengths = tuple(map(len, inputs))
    digest = _begun(
        signature_hash, layout.rows, layout.absent, layout.dims, tuple(outputs), lengths, len(entity)
    ).copy()  # fmt: skip
    if entity:
        digest.update(entity)
    for content in inputs:
        digest.update(content)
    return prefix + digest.digest()


@functools.lru_cache(maxsize=4096)
def _begun(
    signature_hash: str,
    rows: int,
    absent: Sequence[int],
    dims: Sequence[int],
    outputs: Sequence[int],
    lengths: Sequence[int],
    entity_bytes: int,
) -> blake2b:
    """Return a digest over all that requests of one shape have in common: requests repeat their shapes."""
    signature = signature_hash.encode()
    head = _HEAD.pack(
        True, rows, len(absent), len(dims), len(outputs), len(lengths), entity_bytes, len(signature)
    )  # fmt: skip
    numbers = (*absent, *dims, *outputs, *lengths)
    return blake2b(head + struct.pack(f"<{len(numbers)}Q", *numbers) + signature, digest_size=_DIGEST_BYTES)


def by_entity(prefix: bytes, signature_hash: str, rows: int, outputs: Sequence[int], entity_id: str) -> bytes:
    """Return the key of requests that are the same when their entity is, whatever their inputs."""
    entity, signature = entity_id.encode(), signature_hash.encode()
    head = _HEAD.pack(False, rows, 0, 0, len(outputs), 0, len(entity), len(signature))
    numbers = struct.pack(f"<{len(outputs)}Q", *outputs)
    return prefix + blake2b(b"".join((head, numbers, entity, signature)), digest_size=_DIGEST_BYTES).digest()
