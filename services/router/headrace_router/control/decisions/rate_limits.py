"""How many requests a second a client may send, as it is declared. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace_servicekit.errors import FieldViolation
from headrace_servicekit.resource_names import is_id, shown

from headrace_router.outage import Outage

MAX_RATE_LIMITS = 1_000
MAX_CLIENT_CHARS = 256
EVERY_MODEL = "*"
LOWEST, HIGHEST = 0.001, 100_000.0
MAX_BURST = 1_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests a second that a client may send to a model, over all data planes. burst: 0 is one second's worth."""

    name: str
    client: str
    model: str
    requests_per_second: float
    burst: int
    shadow_mode: bool
    outage: Outage


def scope_violations(field: str, client: str, model: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with the client and the model that a limit is for."""
    if not (0 < len(client) <= MAX_CLIENT_CHARS and client.isprintable()):
        wanted = f"name a client, or `*` for each: 1 to {MAX_CLIENT_CHARS} printable characters"
        yield FieldViolation(f"{field}.client", wanted)
    if model != EVERY_MODEL and not is_id(model):
        yield FieldViolation(f"{field}.model", f"{shown(model)} is not the id of a model, or `*` for all")


def rate_limit_violations(limit: RateLimit) -> Iterator[FieldViolation]:
    """Yield what is wrong with a rate limit."""
    yield from scope_violations("rate_limit", limit.client, limit.model)
    if not LOWEST <= limit.requests_per_second <= HIGHEST:  # not of what is no number either
        bounds = f"must be between {LOWEST:g} and {HIGHEST:,.0f}; `headrace token deny` keeps a client out altogether"
        yield FieldViolation("rate_limit.requests_per_second", bounds)
    if not 0 <= limit.burst <= MAX_BURST:
        yield FieldViolation("rate_limit.burst", f"must be between 0, which is one second's worth, and {MAX_BURST:,}")
