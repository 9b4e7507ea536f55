"""From the authorization header of each request to its caller, at the price of a look-up.

A token is verified once and remembered until it expires; one that failed is remembered for a moment, so that repeating
it costs no signature either. Both memories are bounded, and so is the number of verifications that fail: by connection,
and beyond that by the client that a header names, if it is one who was believed before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog
from headrace_servicekit.denials import client_denied, denied_of
from headrace_servicekit.errors import PermissionDenied, ResourceExhausted, ServiceError
from headrace_servicekit.identity import Identity

from headrace_router.data.identity.tokens import Keys, Rules, Token, bearer, claimed_client, keys_of, verify

log = structlog.get_logger()


K = TypeVar("K")
V = TypeVar("V")

MAX_TOKENS = 10_000
MAX_FAILURES = 10_000
# How long a header that failed is not looked at again.
FAILED_S = 1.0
# Verifications a second that may fail: of one connection, and of all. Each takes about 90 µs of the loop.
# Good tokens are not limited: the issuer makes them, and a gateway brings those of many on one connection.
PER_CONNECTION, IN_ALL = 20.0, 500.0
# As many for headers that name a client who was believed before, once those are used up: a client's next token is not
# held back for what others send on the same connection, unless they name that client.
PER_CLIENT, IN_ALL_CLIENTS = 20.0, 500.0
MAX_CONNECTIONS = 10_000
MAX_CLIENTS = 10_000
# Of the requests that a client has left, one in so many is for answers that are repeated elsewhere.
LEASED = 4


class Bucket:
    """A token bucket that holds one second's worth."""

    __slots__ = ("_rate", "_seen_at", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._tokens, self._seen_at = rate, rate, now

    def left(self, now: float) -> bool:
        """Return whether there is one to take. now: any clock that never goes back."""
        tokens = self._tokens + (now - self._seen_at) * self._rate
        self._seen_at = now
        self._tokens = tokens if tokens < self._rate else self._rate
        return tokens >= 1.0

    def take(self, now: float) -> bool:
        """Take one; return False when there is none."""
        if not self.left(now):
            return False
        self._tokens -= 1.0
        return True

    def lease(self, tokens: int, now: float) -> int:
        """Take up to so many in advance, of what there is a quarter; return how many."""
        granted = min(tokens, int(self._tokens / LEASED)) if self.left(now) else 0
        self._tokens -= granted
        return granted

    def give_back(self, tokens: int) -> None:
        """Put back what was taken in advance."""
        self._tokens = min(self._tokens + tokens, self._rate)


class _ClientConnection(NamedTuple):
    """Headers on one connection that name one client."""

    connection: object
    client: str | None


class Callers:
    """Everybody who called lately.

    requests_per_second: of each client. enforced: whether what is beyond that is refused, or only counted.
    wall: Unix time, for expiry. now: a clock that never goes back, for rates.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        requests_per_second: float,
        wall: Callable[[], float],
        now: Callable[[], float],
        enforced: bool = True,
    ) -> None:
        self._rules, self._requests_per_second, self._wall, self._now = rules, requests_per_second, wall, now
        self._enforced = enforced
        self._keys: Keys = ()
        self._denied: frozenset[str] = frozenset()
        self._tokens: dict[bytes, tuple[Token, Bucket]] = {}
        self._failures: dict[bytes, tuple[float, ServiceError]] = {}
        self._buckets: dict[str, Bucket] = {}
        self._failing: dict[object, Bucket] = {}
        self._failing_in_all, self._failing_of_clients = Bucket(IN_ALL, now()), Bucket(IN_ALL_CLIENTS, now())
        self.verified = 0
        """Signatures looked at so far."""
        self.over_limit = 0
        """Requests so far that were beyond the rate of their client."""
        self.changing: Callable[[], object] = lambda: None
        """Called before other keys or denied clients take effect."""

    def believe(self, keys: Keys, denied: frozenset[str]) -> None:
        """Take new keys and denied clients: what was remembered under the ones before is forgotten."""
        self.changing()
        self._keys, self._denied = keys, denied
        self._tokens.clear()
        self._failures.clear()

    def identify(
        self, authorization: bytes | None, scope: str, connection: Callable[[], object] = lambda: None
    ) -> Identity:
        """Return the caller of a request that needs a scope.

        connection: returns what tells the connection from others; asked for only with a token that is not known.
        Raises Unauthenticated, PermissionDenied (denied client, scope missing) and ResourceExhausted (the client's
        bucket, or too many bad tokens).
        """
        known = self._tokens.get(authorization) if authorization is not None else None
        if known is None or known[0].expires_at <= self._wall():
            known = self._meet(authorization, connection())
        token, bucket = known
        if scope not in token.scopes:
            raise PermissionDenied(
                f"the token does not have the scope '{scope}'", reason="SCOPE_MISSING", metadata={"scope": scope}
            )
        if not bucket.take(self._now()):
            self.over_limit += 1
            if self._enforced:
                raise ResourceExhausted("the client sends more than it may", reason="RATE_LIMITED", retry_after_s=1.0)
        return token.identity

    def valid_for_s(self, authorization: bytes | None) -> float:
        """Return for how long a token that was believed is good; nothing or less for any other."""
        known = self._tokens.get(authorization) if authorization is not None else None
        return known[0].expires_at - self._wall() if known is not None else 0.0

    def lease(self, client: str, tokens: int) -> int:
        """Take up to so many requests of a client in advance; return how many."""
        bucket = self._buckets.get(client)
        return bucket.lease(tokens, self._now()) if bucket is not None else 0

    def give_back(self, client: str, tokens: int) -> None:
        """Give back what was taken in advance."""
        bucket = self._buckets.get(client)
        if bucket is not None:
            bucket.give_back(tokens)

    def remembered(self) -> dict[str, int]:
        """Return how many of each are remembered."""
        return {
            "tokens": len(self._tokens),
            "failures": len(self._failures),
            "clients": len(self._buckets),
            "connections": len(self._failing),
        }

    def _meet(self, authorization: bytes | None, connection: object) -> tuple[Token, Bucket]:
        now = self._now()
        failure = self._failures.get(authorization) if authorization is not None else None
        if failure is not None and failure[0] > now:
            raise failure[1].with_traceback(None)  # or each time would add to it
        encoded = bearer(authorization)
        assert authorization is not None
        self._tokens.pop(authorization, None)
        sender, in_all = connection, self._failing_in_all
        if not self._may_fail(sender, in_all, now):
            client = claimed_client(encoded)
            sender, in_all = _ClientConnection(connection, client), self._failing_of_clients
            if client not in self._buckets or not self._may_fail(sender, in_all, now):
                raise ResourceExhausted("too many bad tokens at once", reason="TOO_MANY_TOKENS", retry_after_s=1.0)
        self.verified += 1
        try:
            token = verify(encoded, self._keys, self._rules, self._wall())
            if token.identity.client in self._denied:
                raise client_denied()
        except ServiceError as error:
            self._failed(sender, in_all, now)
            _remember(self._failures, authorization, (now + FAILED_S, error), MAX_FAILURES)
            raise
        known = (token, self._bucket(token.identity.client, now))
        _remember(self._tokens, authorization, known, MAX_TOKENS)
        return known

    def _may_fail(self, sender: object, in_all: Bucket, now: float) -> bool:
        """Return whether one more verification may fail. sender: a connection, or a client on a connection."""
        failing = self._failing.get(sender)
        return in_all.left(now) and (failing is None or failing.left(now))

    def _failed(self, sender: object, in_all: Bucket, now: float) -> None:
        bucket = self._failing.get(sender)
        if bucket is None:
            bucket = Bucket(PER_CLIENT if isinstance(sender, _ClientConnection) else PER_CONNECTION, now)
            _remember(self._failing, sender, bucket, MAX_CONNECTIONS)
        bucket.take(now)
        in_all.take(now)

    def _bucket(self, client: str, now: float) -> Bucket:
        """Return the bucket of a client, which all its tokens share."""
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = Bucket(self._requests_per_second, now)
            _remember(self._buckets, client, bucket, MAX_CLIENTS)
        return bucket


def _remember(memory: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value; the oldest one makes room."""
    while len(memory) >= most:
        del memory[next(iter(memory))]
    memory[key] = value


NOBODY = '{"subjects": []}'


class IdentityFiles:
    """The two files. deny: None, or a file that does not exist, denies no caller."""

    def __init__(self, jwks: Path, deny: Path | None, callers: Callers) -> None:
        self._jwks, self._deny, self._callers = jwks, deny, callers
        self._believed = ("", "")

    async def read(self) -> None:
        """Make the callers believe what the files say. Raises OSError and ValueError for files that cannot be used."""
        texts = await asyncio.to_thread(self._texts)
        if texts != self._believed:
            self._callers.believe(keys_of(texts[0]), denied_of(texts[1]))
            self._believed = texts
            log.info("identities read", jwks=str(self._jwks), deny=str(self._deny or ""))

    async def follow(self) -> None:
        """Read again; files that cannot be used change nothing and are logged. For `periodic`."""
        try:
            await self.read()
        except (OSError, ValueError) as error:
            log.warning("identities not taken", reason=str(error))

    def _texts(self) -> tuple[str, str]:
        denied = NOBODY
        if self._deny is not None and self._deny.exists():
            denied = self._deny.read_text()
        return self._jwks.read_text(), denied
