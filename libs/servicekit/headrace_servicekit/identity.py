"""Who calls, and which models they may know of: the identity that the front door passes on in headers.

The front door strips these headers from what comes from outside and sets them from the verified token. Whatever it
forwards it also marks, by configuration that no script of its can skip: a marked call without an identity is refused.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace_servicekit.errors import NotFound, ServiceError, Unauthenticated

# On everything that the front door forwards, and on nothing else.
FRONT_DOOR_HEADER = "x-headrace-edge"
CLIENT_HEADER = "x-headrace-client"
MODELS_HEADER = "x-headrace-models"
# Unix time until which the caller's token is good. Answers that are streams end then.
EXPIRY_HEADER = "x-headrace-token-expiry"

# Claims in which identity providers put scopes: the union of them counts.
SCOPE_CLAIMS = ("scopes", "scope", "scp")


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller.

    client: the token's subject; "internal" for another service.
    models: patterns of the models that the caller may know of, where `*` stands for any characters; None means all.
    internal: True when the call did not come through the front door.
    """

    client: str
    models: tuple[str, ...] | None = None
    internal: bool = False

    def sees(self, model: str) -> bool:
        """Return whether the caller may know of a model."""
        if self.models is None:
            return True
        for parts in _parts(self.models):  # noqa: SIM110 - any() takes as long again, of each prediction
            if _fits(parts, model):
                return True
        return False


INTERNAL = Identity("internal", None, internal=True)
# Caller that the front door forwards without an identity, or that lacks a required service certificate: sees nothing,
# and may call only health checks.
NOBODY = Identity("", ())

_identity: contextvars.ContextVar[Identity] = contextvars.ContextVar("headrace_identity", default=INTERNAL)


def identity() -> Identity:
    """Return the caller of the RPC that this task serves; outside any RPC that is the service itself."""
    return _identity.get()


def act_as(caller: Identity) -> contextvars.Token[Identity]:
    """Make `caller` the identity of this task; hosts other than the kit's server call it for each request."""
    return _identity.set(caller)


def caller_of(headers: Mapping[str, str]) -> Identity:
    """Return the caller that the headers of a call state; an identity without rights when the front door states
    none."""
    client, models = headers.get(CLIENT_HEADER), headers.get(MODELS_HEADER)
    if FRONT_DOOR_HEADER in headers and (not client or models is None):
        return NOBODY
    return parse_identity(client, models)


def unidentified() -> ServiceError:
    """Return the refusal of a call without an identity."""
    message = "neither the front door nor a service's certificate says who calls: this is a fault of the installation"
    return Unauthenticated(message, reason="IDENTITY_MISSING")


@functools.lru_cache(maxsize=4096)
def parse_identity(client: str | None, models: str | None) -> Identity:
    """Return the identity that the two headers state; None is an absent header.

    Absent or `*` patterns mean all models, an empty header means none.
    """
    if client is None and models is None:
        return INTERNAL
    patterns = None if models is None else tuple(part for part in (p.strip() for p in models.split(",")) if part)
    if patterns is not None and "*" in patterns:
        patterns = None
    return Identity(client or "", patterns)


def parse_expiry(value: str | None) -> float | None:
    """Return when the caller's token expires, as Unix time; None for one that has none.

    Raises Unauthenticated for a header that does not say: it is the front door's, so something is wrong with it.
    """
    try:
        return None if value is None else float(value)
    except ValueError:
        raise Unauthenticated(f"header {EXPIRY_HEADER} is no time", reason="IDENTITY_MALFORMED") from None


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes that a token's claims have: each a list of texts, or one text with spaces between the scopes
    (RFC 8693, section 4.2)."""
    found: set[str] = set()
    for name in SCOPE_CLAIMS:
        value = claims.get(name)
        scopes = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else ()
        found.update(scope for scope in scopes if isinstance(scope, str) and scope)
    return frozenset(found)


def model_not_found(model: str) -> ServiceError:
    """Return the error for a model that does not exist, or that the caller may not know of: they must look the same."""
    return NotFound(f"model '{model}' not found", reason="MODEL_NOT_FOUND", metadata={"model": model})


def model_of(name: str) -> str:
    """Return the model in `models/{model}/…` or `routes/{model}`; any other text is a model's own name."""
    parts = name.split("/")
    return parts[1] if len(parts) > 1 and parts[0] in ("models", "routes") else name


def matches(patterns: tuple[str, ...], text: str) -> bool:
    """Return whether a text is one of some patterns, where `*` stands for any characters."""
    return any(_fits(parts, text) for parts in _parts(patterns))


def visible(names: Iterable[str]) -> list[str]:
    """Return those of `names` that the present caller may know of, in their order; for list and watch methods."""
    caller = identity()
    return [name for name in names if caller.sees(name)]


@functools.lru_cache(maxsize=4096)
def _parts(patterns: tuple[str, ...]) -> tuple[list[str], ...]:
    """Return what stands between the stars of each pattern."""
    return tuple(pattern.split("*") for pattern in patterns)


def _fits(parts: list[str], name: str) -> bool:
    """Return whether a name is these parts with any characters between them.

    No regular expression: names are compared before anything has looked at them, and one of a megabyte against a
    pattern with two stars would hold the event loop up for minutes.
    """
    if len(parts) == 1:
        return name == parts[0]
    if not name.startswith(parts[0]):
        return False
    at, end = len(parts[0]), len(name) - len(parts[-1])
    if at > end or not name.endswith(parts[-1]):
        return False
    for part in parts[1:-1]:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
