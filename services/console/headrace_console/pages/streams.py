"""Live pages: the changed part of a page is sent again by server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable

import structlog
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.identity import Identity
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Send

from headrace_console.live import Look
from headrace_console.pages.visits import Visit, failure

log = structlog.get_logger()

# Events are small: for all of this time there was no room for one on the way.
READ_WITHIN_S = 20.0


def followed(visit: Visit, page: Hashable, look: Look) -> Response:
    """Return the stream of a page's part; it ends when the person is denied or signs out, and when their token does.

    The browser then comes back, with a session that has a new token or none. page: what is looked at.
    """
    console, login = visit.console, visit.session.login
    live = console.live
    session = visit.session.secret.digest
    if live.full(session):
        return failure(429, "too many pages follow what changes", "TOO_MANY_STREAMS")
    events = live.follow((page, visit.session.rights), look, session)

    async def believed() -> AsyncGenerator[str]:
        try:
            async with (
                console.denials.while_believed(Identity(login.subject), login.expire_s),
                console.open_pages.during(visit.session.secret),
            ):
                async for event in events:
                    yield event
        except ServiceError:
            return
        finally:
            await events.aclose()

    return EventStream(believed())


class EventStream(StreamingResponse):
    """An event stream that ends when its reader reads nothing for `read_within_s`, which frees its place."""

    def __init__(self, events: AsyncGenerator[str], *, read_within_s: float = READ_WITHIN_S) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._events, self._read_within_s = events, read_within_s

    async def stream_response(self, send: Send) -> None:
        """Send the events; stop at the first that the reader does not take in time."""

        async def sent(message: Message) -> None:
            async with asyncio.timeout(self._read_within_s):
                await send(message)

        try:
            await super().stream_response(sent)
        except TimeoutError:
            log.info("a reader took nothing", seconds=self._read_within_s)
        finally:
            await self._events.aclose()
