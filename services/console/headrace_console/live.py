"""Live updates of pages by server-sent events.

Readers of a page with the same rights share one poll, made with the token of one of them, so that more readers cause no
more load. A reader gets an event only on a change; otherwise a comment keeps the connection open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field

import structlog
from headrace_client.errors import HeadraceError
from headrace_servicekit.clock import Clock

log = structlog.get_logger()

_SILENCE_S = 15.0
# A stream ends after this time and the browser reconnects, so that an abandoned page frees its place.
LONGEST_S = 600.0
# Limit per session: enough for several windows, with places left for other sessions.
MOST_OF_ONE = 40

Look = Callable[[], Awaitable[str]]
"""Returns the current content of a part of a page."""


@dataclass(slots=True)
class _Feed:
    """One page for readers with the same rights. looks: poll function of each reader, by reader."""

    looks: dict[object, Look] = field(default_factory=dict)
    latest: str | None = None
    version: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class LiveFeeds:
    """At most `most` followers at a time."""

    def __init__(self, most: int, *, every_s: float, stopping: asyncio.Event, clock: Clock) -> None:
        self._most, self._every_s, self._stopping, self._clock = most, every_s, stopping, clock
        self._feeds: dict[Hashable, _Feed] = {}
        self._of: Counter[Hashable] = Counter()
        self.open = 0

    def full(self, session: Hashable) -> bool:
        """Return whether the limit of readers is reached, in total or for a session."""
        return self.open >= self._most or self._of[session] >= MOST_OF_ONE

    async def follow(self, key: Hashable, look: Look, session: Hashable) -> AsyncGenerator[str]:
        """Yield the events of a page until the reader leaves, for LONGEST_S at most; none if the limit is reached.

        key: the page and its readers' rights.
        """
        if self.full(session):  # another reader may have taken the place meanwhile
            return
        feed = self._feeds.setdefault(key, _Feed())
        follower, until = object(), self._clock.monotonic() + LONGEST_S
        feed.looks[follower] = look
        self.open += 1
        self._of[session] += 1
        # It has ended where the only one who looked may not look any more.
        if feed.task is None or feed.task.done():
            feed.task = asyncio.create_task(self._look(feed), name="live page")
        try:
            seen = -1
            while not self._stopping.is_set() and follower in feed.looks and self._clock.monotonic() < until:
                if feed.version != seen and feed.latest is not None:
                    seen = feed.version
                    yield event(feed.latest)
                    continue  # it may have changed again while the reader was slow
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SILENCE_S):
                        await feed.changed.wait()
                        continue
                yield ": nothing new\n\n"
        finally:
            self.open -= 1
            self._of -= Counter((session,))  # which forgets those who are at none
            feed.looks.pop(follower, None)
            if not feed.looks:
                if self._feeds.get(key) is feed:
                    del self._feeds[key]
                if feed.task is not None:
                    feed.task.cancel()

    async def _look(self, feed: _Feed) -> None:
        while feed.looks and not self._stopping.is_set():
            follower, look = next(iter(feed.looks.items()))
            try:
                now = await look()
            except HeadraceError as error:
                if type(error).code.name in ("UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"):
                    # That one may not look any more, which says nothing of the others.
                    feed.looks.pop(follower, None)
                    _tell(feed)
                    continue
                log.info("a followed page could not be read", reason=error.reason or str(error))
            except Exception:
                log.exception("a followed page failed")
                feed.looks.pop(follower, None)
                _tell(feed)
                continue
            else:
                if now != feed.latest:
                    feed.latest, feed.version = now, feed.version + 1
                    _tell(feed)
            await self._clock.sleep(self._every_s)
        _tell(feed)


def _tell(feed: _Feed) -> None:
    feed.changed.set()
    feed.changed = asyncio.Event()


def event(html: str) -> str:
    """Return a part of a page as an event; its lines are lines of data.

    >>> event("<p>one</p>\\n<p>two</p>")
    'data: <p>one</p>\\ndata: <p>two</p>\\n\\n'
    """
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
