"""How a table looks answers up, and which stored answers of its versions count. Pure: messages in, values out."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import duration_pb2
from headrace.router.v1 import control_pb2, route_pb2

from headrace_router.stored_answers import cache_prefix, precomputed_prefix


class Mode(enum.IntEnum):
    """Where answers may come from, with the numbers of `Lookup.Mode`."""

    HYBRID = 1
    ONLINE = 2
    BATCH = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """How answers are looked up; as in `Lookup`, in seconds.

    by_entity: whether the inputs are left out of the key. ttl_s: None leaves it to the data plane. longest_stale_s: age
    of the oldest cached answer that a fallback of the route may give.
    """

    mode: Mode = Mode.HYBRID
    by_entity: bool = False
    ttl_s: float | None = None
    stale_while_revalidate_s: float = 0.0
    stale_on_error_s: float = 0.0
    max_precomputed_age_s: float = math.inf
    cache_large_inputs: bool = False
    longest_stale_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """Which stored answers of a version may be read. Prefixes are of keys; precomputed: empty when nothing is.

    generation: of the precomputed answers, 0 for none. expire_ms: Unix time at which those stop counting, 0 for never.
    run, manifest: what computed those, and the digest of its manifest; empty for unknown.
    """

    cache: bytes
    precomputed: bytes = b""
    generation: int = 0
    expire_ms: int = 0
    run: str = ""
    manifest: str = ""


def policy_of(proto: route_pb2.Lookup, fallback: Iterable[control_pb2.ResolvedFallbackStep] = ()) -> Policy:
    """Return the policy of a table. Raises ValueError for one that this data plane does not know."""
    if proto.key not in (proto.KEY_UNSPECIFIED, proto.KEY_INPUTS, proto.KEY_ENTITY):
        raise ValueError(f"lookup has unknown key {proto.key}")
    try:
        mode = Mode(proto.mode or Mode.HYBRID)
    except ValueError:
        raise ValueError(f"lookup has unknown mode {proto.mode}") from None
    oldest = proto.max_precomputed_age
    return Policy(
        mode,
        proto.key == proto.KEY_ENTITY,
        _seconds(proto.ttl) if proto.HasField("ttl") else None,
        _seconds(proto.stale_while_revalidate),
        _seconds(proto.stale_on_error),
        _seconds(oldest) if proto.HasField("max_precomputed_age") else math.inf,
        proto.cache_large_inputs,
        max((_seconds(step.stale) for step in fallback if step.WhichOneof("source") == "stale"), default=0.0),
    )


def stored_of(
    incarnation: str, digests: Iterable[str], protos: Iterable[control_pb2.StoredAnswers]
) -> dict[str, StoredVersion]:
    """Return the stored answers of each version, by digest."""
    by_digest = {proto.digest: proto for proto in protos}
    nothing = control_pb2.StoredAnswers()
    return {digest: _kept(incarnation, digest, by_digest.get(digest, nothing)) for digest in digests}


def _kept(incarnation: str, digest: str, proto: control_pb2.StoredAnswers) -> StoredVersion:
    generation = proto.precomputed_generation
    expire = proto.precomputed_expire_time
    return StoredVersion(
        cache_prefix(incarnation, digest, proto.cache_epoch),
        precomputed_prefix(incarnation, digest, generation) if generation else b"",
        generation,
        expire.ToMilliseconds() if generation and proto.HasField("precomputed_expire_time") else 0,
        proto.precomputed_origin.run,
        proto.precomputed_origin.manifest_digest,
    )


def _seconds(duration: duration_pb2.Duration) -> float:
    return max(0.0, duration.seconds + duration.nanos / 1e9)
