"""Streams of callers from outside end when the caller's token expires, or when the caller is denied.

The front door checks a call once, when it begins. The service ends longer calls: it follows the front door's list of
denied clients, so no message needs a lookup.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from headrace_servicekit.errors import PermissionDenied, ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity

log = structlog.get_logger()

FOLLOW_EVERY_S = 1.0


def denied_of(text: str) -> frozenset[str]:
    """Return the subjects of `{"subjects": […]}`. Raises ValueError."""
    document = json.loads(text)
    subjects = document.get("subjects") if isinstance(document, dict) else None
    if not isinstance(subjects, list) or not all(isinstance(subject, str) for subject in subjects):
        raise ValueError("must be an object with the list 'subjects' of texts")
    return frozenset(subjects)


def read_denied(file: Path | None) -> frozenset[str]:
    """Return the denied clients; None, or a file that does not exist, denies no client. Raises OSError and
    ValueError."""
    return denied_of(file.read_text()) if file is not None and file.exists() else frozenset()


def client_denied() -> ServiceError:
    """Return the refusal of a client whose tokens are refused, in the front door's words."""
    return PermissionDenied("this client's tokens are refused", reason="CLIENT_DENIED")


class Denials:
    """The denied clients, and the streams that callers have open."""

    def __init__(self) -> None:
        self._denied: frozenset[str] = frozenset()
        self._open: defaultdict[str, set[asyncio.Timeout]] = defaultdict(set)
        self._problem = ""

    def is_denied(self, client: str) -> bool:
        """Return whether a client is on the list."""
        return client in self._denied

    def believe(self, denied: Iterable[str]) -> None:
        """Take a new list, and end what those on it have open."""
        self._denied = frozenset(denied)
        now = asyncio.get_running_loop().time()
        for client in self._denied & self._open.keys():
            for limit in self._open[client]:
                if not limit.expired():
                    limit.reschedule(now)

    async def follow(self, file: Path) -> None:
        """Read the list again; a file that cannot be used changes nothing and is logged once. For `periodic`."""
        try:
            found = await asyncio.to_thread(read_denied, file)
        except (OSError, ValueError) as error:
            if str(error) != self._problem:
                log.warning("denied clients not taken; those before stay denied", file=str(file), reason=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        if found != self._denied:
            self.believe(found)
            log.info("denied clients changed", denied=len(found))

    @asynccontextmanager
    async def while_believed(self, caller: Identity, expiry: float | None = None) -> AsyncIterator[None]:
        """Let the block run for as long as the caller may go on.

        expiry: Unix time at which its token expires; None when that does not end the block. Raises PermissionDenied
        and Unauthenticated, as a new call would be refused.
        """
        if caller.internal:
            yield
            return
        if caller.client in self._denied:
            raise client_denied()
        limit = asyncio.timeout(None if expiry is None else max(0.0, expiry - time.time()))
        try:
            async with limit:
                self._open[caller.client].add(limit)
                try:
                    yield
                finally:
                    self._forget(caller.client, limit)
        except TimeoutError:
            if not limit.expired():
                raise
            if caller.client in self._denied:
                raise client_denied() from None
            raise Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED") from None

    def _forget(self, client: str, limit: asyncio.Timeout) -> None:
        streams = self._open[client]
        streams.discard(limit)
        if not streams:
            del self._open[client]
