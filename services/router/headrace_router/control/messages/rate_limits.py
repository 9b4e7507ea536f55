"""Convert between messages and rate limits."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from headrace.router.v1 import client_limits_pb2, control_pb2
from headrace_servicekit.errors import refuse
from headrace_servicekit.resource_names import ids, invalid

from headrace_router.control.decisions.rate_limits import RateLimit, rate_limit_violations
from headrace_router.outage import Outage


def rate_limit_name(name: str, field: str) -> str:
    """Return the rate limit in `rateLimits/{rate_limit}`. Raises InvalidArgument that names the field."""
    (limit,) = ids(name, field, "rateLimits/{rate_limit}")
    return limit


def rate_limit(message: client_limits_pb2.RateLimit) -> RateLimit:
    """Return a rate limit. Raises InvalidArgument that names each wrong field."""
    name, outage = rate_limit_name(message.name, "rate_limit.name"), message.outage or Outage.LOCAL
    if outage not in set(Outage):
        raise invalid("rate_limit.outage", "must be local, open or closed", reason="RATE_LIMIT_INVALID")
    made = RateLimit(
        *(name, message.client, message.model, message.requests_per_second),
        *(message.burst, message.shadow_mode, Outage(outage)),
    )
    refuse(list(rate_limit_violations(made)), reason="RATE_LIMIT_INVALID")
    return made


def to_rate_limit(one: RateLimit) -> client_limits_pb2.RateLimit:
    """Return the message of a rate limit."""
    return client_limits_pb2.RateLimit(
        name=f"rateLimits/{one.name}",
        client=one.client,
        model=one.model,
        requests_per_second=one.requests_per_second,
        burst=one.burst,
        shadow_mode=one.shadow_mode,
        outage=client_limits_pb2.RateLimit.Outage.Name(one.outage),
    )


def to_watched(
    found: Sequence[RateLimit], overruns: Sequence[client_limits_pb2.BudgetOverrun]
) -> control_pb2.WatchClientLimitsResponse:
    """Return what data planes are sent."""
    watched = control_pb2.WatchClientLimitsResponse(
        rate_limits=[to_rate_limit(one) for one in found], budget_overruns=overruns
    )
    watched.revision = sha256(watched.SerializeToString(deterministic=True)).hexdigest()[:16]
    return watched
