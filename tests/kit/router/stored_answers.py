"""What is kept of digits: as a control plane says, as data planes are told, and what lies in the store."""

from __future__ import annotations

from headrace.router.v1 import precomputed_pb2
from redis.asyncio import Redis

from tests.kit.router.control_plane import Plane
from tests.kit.router.publishing import status
from tests.kit.router.registry_feed import digest_of

_Answers = precomputed_pb2.PrecomputedAnswers


async def condition(plane: Plane, version: str = "v1") -> str:
    """Return how the answers of a version are: `NONE`, `PRESENT`, `LOST`."""
    kept = await status(plane, version)
    return _Answers.Condition.Name(kept.condition if kept else _Answers.CONDITION_NONE).removeprefix("CONDITION_")


async def is_now(plane: Plane, wanted: str, version: str = "v1") -> bool:
    """Return whether that is how the answers of a version are."""
    return await condition(plane, version) == wanted


async def counts(plane: Plane, version: str = "v1") -> int:
    """Return the generation of a version's answers that a data plane is told; 0 for none."""
    generations = {one.digest: one.precomputed_generation for one in (await plane.told()).table.stored_answers}
    return generations.get(digest_of("digits", version), 0)


async def keys(valkey: Redis, prefix: str = "p:") -> int:
    """Return how many answers the store has."""
    return len([key async for key in valkey.scan_iter(f"{prefix}*")])


async def has(plane: Plane, valkey: Redis, answers: int) -> bool:
    """Return whether that many answers are left; the data plane keeps up with the tables."""
    await plane.acknowledge("plane-0", await plane.told())
    return await keys(valkey) == answers


async def only(valkey: Redis, answers: int) -> bool:
    """Return whether that many answers are left, and nothing of other publishes."""
    generations = {bytes(key).split(b":")[3] for key in await valkey.keys("[pmu]:*") if isinstance(key, bytes)}
    return await keys(valkey) == answers and len(generations) <= min(answers, 1)
