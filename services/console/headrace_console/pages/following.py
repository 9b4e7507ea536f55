"""A page that follows what changes: its part is sent anew by server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable

from headrace_servicekit.errors import ServiceError
from headrace_servicekit.identity import Identity
from starlette.responses import Response, StreamingResponse

from headrace_console.live import Look
from headrace_console.pages.visits import Visit, failure


def followed(visit: Visit, page: Hashable, look: Look) -> Response:
    """Return the stream of a page's part; it ends when the person is denied or signs out, and when their token does.

    The browser then comes back, with a session that has a new token or none. page: what is looked at.
    """
    console, login = visit.console, visit.session.login
    live = console.live
    if live.full:
        return failure(429, "too many pages follow what changes", "TOO_MANY_STREAMS")
    events = live.follow((page, visit.session.rights), look)

    async def believed() -> AsyncIterator[str]:
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

    return StreamingResponse(believed(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
