"""Rate limits as callers of RateLimitService set them and data planes watch them."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import client_limits_pb2 as pb
from headrace.router.v1 import control_pb2
from headrace_router.control.storage import rate_limits
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER
from headrace_servicekit.testing import patience

from tests.kit.clients.refusals import reason_of
from tests.kit.router.control_plane import Plane, control_plane

OF_A_ONLY = ((CLIENT_HEADER, "eve"), (MODELS_HEADER, "a*"))


async def put(
    plane: Plane, name: str = "l", *, metadata: Any = None, validate_only: bool = False, **fields: Any
) -> pb.RateLimit:
    made = {"client": "ada", "model": "a", "requests_per_second": 10.0, **fields}
    limit = pb.RateLimit(name=f"rateLimits/{name}", **made)
    request = pb.PutRateLimitRequest(rate_limit=limit, validate_only=validate_only)
    return (await plane.rate_limits.PutRateLimit(request, timeout=patience(20), metadata=metadata)).rate_limit


async def delete(plane: Plane, name: str = "l", *, metadata: Any = None) -> None:
    request = pb.DeleteRateLimitRequest(name=f"rateLimits/{name}")
    await plane.rate_limits.DeleteRateLimit(request, timeout=patience(20), metadata=metadata)


async def listed(plane: Plane, *, metadata: Any = None) -> list[pb.RateLimit]:
    answer = await plane.rate_limits.ListRateLimits(pb.ListRateLimitsRequest(), timeout=patience(20), metadata=metadata)
    return list(answer.rate_limits)


def watched(plane: Plane, revision: str = "") -> Any:
    return plane.control.WatchClientLimits(
        control_pb2.WatchClientLimitsRequest(revision=revision), timeout=patience(20)
    )


async def test_data_planes_are_sent_all_of_them_after_each_change_whichever_control_plane_made_it(
    plane, postgres_url, registry
):
    async with control_plane(postgres_url, registry.target) as other:
        watch = watched(plane)
        first = await watch.read()
        assert not first.rate_limits
        made = await put(other, requests_per_second=7.5, shadow_mode=True)
        assert made.outage == pb.RateLimit.OUTAGE_LOCAL
        second = await watch.read()
        assert list(second.rate_limits) == [made]
        watch.cancel()

        again = watched(plane, second.revision)
        await put(plane, client="*", model="*", burst=5, outage=pb.RateLimit.OUTAGE_CLOSED)
        third = await again.read()
        assert [(one.client, one.burst, one.outage) for one in third.rate_limits] == [("*", 5, 3)], "it has the second"
        for _ in range(2):  # which is safe to repeat
            await delete(plane)
        assert (await again.read()).revision == first.revision
        assert await listed(other) == []


async def test_those_of_models_that_a_caller_may_not_see_are_neither_shown_nor_touched(plane):
    for name, model in (("all", "*"), ("of-a", "a"), ("of-b", "b")):
        await put(plane, name, model=model)
    assert [one.name for one in await listed(plane, metadata=OF_A_ONLY)] == ["rateLimits/of-a"]
    for name in ("of-b", "all"):
        assert await reason_of(delete(plane, name, metadata=OF_A_ONLY)) == "MODEL_NOT_FOUND"
        assert await reason_of(put(plane, name, metadata=OF_A_ONLY)) == "MODEL_NOT_FOUND"
    assert await reason_of(put(plane, "new", model="*", metadata=OF_A_ONLY)) == "MODEL_NOT_FOUND"
    await delete(plane, "of-a", metadata=OF_A_ONLY)
    assert [one.name for one in await listed(plane)] == ["rateLimits/all", "rateLimits/of-b"]


async def test_of_more_than_there_may_be_the_next_is_refused(plane, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rate_limits, "MAX_RATE_LIMITS", 2)
    for name in ("x", "y", "x"):
        await put(plane, name)
    await put(plane, "x", requests_per_second=3.0, validate_only=True)
    assert {one.requests_per_second for one in await listed(plane)} == {10.0}, "a check changes nothing"
    assert await reason_of(put(plane, "z", validate_only=True)) == "TOO_MANY_RATE_LIMITS"
    assert await reason_of(put(plane, "z")) == "TOO_MANY_RATE_LIMITS"
