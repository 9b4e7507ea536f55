"""A kind of plain resource is served by the RPCs that the descriptors have for it, without code for each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from headrace.router.v1 import client_limits_pb2 as pb
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.identity import Identity
from headrace_servicekit.resources import Kind, serve_kind

SERVICE = pb.DESCRIPTOR.services_by_name["RateLimitService"]
LIMITS = Kind(
    pb.RateLimit,
    "rateLimits/{rate_limit}",
    lambda message: message.model,
    lambda model: pb.RateLimit(name="rateLimits/7", model=model),
)


@dataclass
class Remembered:
    """Use cases that remember what they were called with."""

    models: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    async def put(self, one: str, caller: Identity, *, validate_only: bool = False) -> str:
        if not validate_only:
            self.models.append(one)
        return one

    async def list(self, caller: Identity) -> list[str]:
        return self.models

    async def delete(self, key: str, caller: Identity) -> None:
        self.deleted.append(key)


async def test_a_request_is_converted_decided_and_answered():
    servicer, limits = SimpleNamespace(), Remembered()
    serve_kind(servicer, SERVICE, LIMITS, limits)
    request = pb.PutRateLimitRequest(rate_limit=pb.RateLimit(model="fraud"))
    expected = pb.RateLimit(name="rateLimits/7", model="fraud")
    checked = pb.PutRateLimitRequest(rate_limit=request.rate_limit, validate_only=True)
    assert await servicer.PutRateLimit(checked, None) == pb.PutRateLimitResponse(rate_limit=expected)
    assert limits.models == []
    assert await servicer.PutRateLimit(request, None) == pb.PutRateLimitResponse(rate_limit=expected)
    listed = await servicer.ListRateLimits(pb.ListRateLimitsRequest(), None)
    assert listed == pb.ListRateLimitsResponse(rate_limits=[expected])
    await servicer.DeleteRateLimit(pb.DeleteRateLimitRequest(name="rateLimits/7"), None)
    assert (limits.models, limits.deleted) == (["fraud"], ["7"])


async def test_a_name_of_something_else_is_refused_before_anything_is_decided():
    servicer, limits = SimpleNamespace(), Remembered()
    serve_kind(servicer, SERVICE, LIMITS, limits)
    with pytest.raises(InvalidArgument) as caught:
        await servicer.DeleteRateLimit(pb.DeleteRateLimitRequest(name="others/x"), None)
    assert [one.field for one in caught.value.violations] == ["name"]
    assert limits.deleted == []


def test_a_service_without_an_rpc_of_the_kind_is_refused_at_once():
    with pytest.raises(ValueError, match=r"has of noises/\{number\} only: list, put"):
        serve_kind(SimpleNamespace(), SERVICE, replace(LIMITS, pattern="noises/{number}"), Remembered())
