"""Pages of the console, as files that are read without it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from headrace_client.calls import Operation, Page, Session, authorization, token_of


def console_page(
    session: Session,
    *place: str,
    start: datetime | None = None,
    end: datetime | None = None,
    timeout: float,
    **query: str,
) -> Operation[str]:
    """Return a page of the console as one HTML file: `models`, `digits`, `report`. start, end: of the time it covers.

    Raises a HeadraceError: Unimplemented, reason PART_NOT_INSTALLED, where there is no console.
    """
    times = {name: time.astimezone(UTC).isoformat() for name, time in (("start", start), ("end", end)) if time}
    parameters = urlencode({name: value for name, value in {**query, **times}.items() if value})
    path = "/console/" + "/".join(quote(part, safe="") for part in place) + (f"?{parameters}" if parameters else "")
    token = yield from token_of(session)
    pages, metadata = session.pages, (*authorization(token), *session.headers)
    assert pages is not None, "a client's session has them"
    return (yield Page(lambda: pages.read(path, metadata, timeout)))
