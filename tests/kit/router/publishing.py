"""Publishing precomputed answers by the bare API, as a client in any language would."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
from headrace.router.v1 import precomputed_pb2, predict_pb2
from headrace_router import stored_answers
from redis.asyncio import Redis

from tests.kit.router.control_plane import Plane
from tests.kit.router.registry_feed import digest_of

Publish = precomputed_pb2.Publish
TIMEOUT_S = 30


async def begin(plane: Plane, version: str = "v1", rows: int = 0, **fields: Any) -> Publish:
    """Begin a publish for a version of digits."""
    request = precomputed_pb2.BeginPublishRequest(parent=f"models/digits/versions/{version}", row_count=rows, **fields)
    return (await plane.precomputed.BeginPublish(request, timeout=TIMEOUT_S)).publish


def chunk(name: str, first_row: int, entities: Sequence[str], values: Sequence[float]):
    """Return a chunk for an output `y` of one FP32."""
    column = np.asarray(values, "<f4").tobytes()
    return precomputed_pb2.UploadAnswersRequest(name=name, first_row=first_row, entities=entities, columns=[column])


async def upload(plane: Plane, *chunks: precomputed_pb2.UploadAnswersRequest) -> list[int]:
    """Send chunks and return the rows acknowledged after each."""

    async def messages() -> AsyncIterator[precomputed_pb2.UploadAnswersRequest]:
        for one in chunks:
            yield one

    call = plane.precomputed.UploadAnswers(messages(), timeout=TIMEOUT_S)
    return [answer.row_count async for answer in call]


async def commit(plane: Plane, publish: Publish, rows: int = 0) -> precomputed_pb2.CommitPublishResponse:
    """Commit a publish."""
    request = precomputed_pb2.CommitPublishRequest(name=publish.name, row_count=rows)
    return await plane.precomputed.CommitPublish(request, timeout=TIMEOUT_S)


async def published(plane: Plane, values: dict[str, float], version: str = "v1", **fields: Any) -> Publish:
    """Publish one value per entity and return the committed publish."""
    publish = await begin(plane, version, **fields)
    await upload(plane, chunk(publish.name, 0, list(values), list(values.values())))
    return (await commit(plane, publish)).publish


async def status(plane: Plane, version: str = "v1") -> precomputed_pb2.PrecomputedAnswers | None:
    """Return what is kept for a version of digits."""
    request = precomputed_pb2.ListPrecomputedRequest(parent="models/digits")
    answer = await plane.precomputed.ListPrecomputed(request, timeout=TIMEOUT_S)
    return next((one for one in answer.answers if one.version == version), None)


async def read(valkey_url: str, incarnation: str, generation: int, entity: str, version: str = "v1") -> float | None:
    """Return the value that a data plane would give for an entity, or None."""
    key = stored_answers.precomputed_prefix(incarnation, digest_of("digits", version), generation) + entity.encode()
    client = Redis.from_url(valkey_url)
    try:
        stored = await client.get(key)
    finally:
        await client.aclose()
    entry = stored_answers.decode(key, stored) if isinstance(stored, bytes) else None
    if entry is None:
        return None
    return float(np.frombuffer(predict_pb2.PredictResponse.FromString(entry.outputs).raw_output_contents[0], "<f4")[0])


async def get(plane: Plane, publish: Publish) -> Publish:
    """Return a publish as it is now."""
    return (
        await plane.precomputed.GetPublish(precomputed_pb2.GetPublishRequest(name=publish.name), timeout=10)
    ).publish


async def abort(plane: Plane, publish: Publish) -> None:
    """Give a publish up."""
    await plane.precomputed.AbortPublish(precomputed_pb2.AbortPublishRequest(name=publish.name), timeout=10)


async def revert(plane: Plane, generation: int = 0, version: str = "v1") -> precomputed_pb2.RevertPrecomputedResponse:
    """Make the answers before the present ones of a version of digits count."""
    request = precomputed_pb2.RevertPrecomputedRequest(name=f"models/digits/versions/{version}", generation=generation)
    return await plane.precomputed.RevertPrecomputed(request, timeout=TIMEOUT_S)
