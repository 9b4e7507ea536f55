"""Which variant a unit gets: the same on every data plane, in every process, for every protocol."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from zlib import crc32

from headrace.router.v1 import route_pb2

from headrace_router.buckets import BUCKETS, bucket_of

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
    """Return whether each request is assigned by itself, whoever sends it."""
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
