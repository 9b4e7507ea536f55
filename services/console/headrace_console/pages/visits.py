"""A page view: the signed-in reader, the request, and the response, also on errors."""

from __future__ import annotations

import asyncio
import functools
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import structlog
from headrace_client import AsyncClient
from headrace_client.errors import (
    DeadlineExceeded,
    FieldViolation,
    HeadraceError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from headrace_servicekit.error_details import http_status, to_json
from headrace_servicekit.errors import Code, ServiceError, error_for
from headrace_servicekit.errors import FieldViolation as ServiceViolation
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from headrace_console.console import ROOT, SIGN_IN, Console
from headrace_console.pages.markup import rendered
from headrace_console.pages.refusals import REMEDIES, remedy_of, status_of
from headrace_console.security import NotAForm, TooLarge, body_of, comes_from_elsewhere, local_path
from headrace_console.sessions.cookie_secrets import CookieSecret
from headrace_console.sessions.sessions import Login, Session

log = structlog.get_logger()

T = TypeVar("T")

SESSION_COOKIE = "headrace_session"
# A page is read at once, or not at all.
READ_S = 10.0
WRITE_S = 30.0
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of a page. problem: why it is missing: its service is unavailable or not installed."""

    value: T | None = None
    problem: str = ""


@dataclass(slots=True)
class Visit:
    """A request of a signed-in person. problem: error of the action that they requested.

    saved: whether the page is saved as a file and read without the console. program: whether a program reads it: it
    gets an error where a person gets a page that names the missing part.
    """

    request: Request
    console: Console
    session: Session
    client: AsyncClient
    form: Mapping[str, str] = field(default_factory=dict)
    problem: HeadraceError | None = None
    saved: bool = False
    program: bool = False

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters."""
        return self.request.query_params

    def argument(self, name: str) -> str:
        """Return a path parameter."""
        return self.request.path_params[name]

    def page(self, template: str, title: str, command: str, **context: Any) -> Response:
        """Render a page. command: the CLI command with the same content or effect."""
        status = 200 if self.problem is None else status_of(self.problem)
        shown = {
            "title": title,
            "saved": self.saved,
            "layout": "saved.html" if self.saved else "base.html",
            **_header(self.session),
            "request_id": str(uuid.uuid4()),
            "now": datetime.now(UTC),
            "path": self.request.url.path,
            "query": self.query,
            "command": command,
            "problem": self.problem,
            "remedy": "" if self.problem is None else remedy_of(self.problem, self.request.path_params),
            "done": self.query.get("done", ""),
            **context,
        }
        html = rendered(template, shown)
        if not self.saved:
            return HTMLResponse(html, status)
        name = urllib.parse.quote(f"{title}.html", safe="")
        # Text is escaped: what reads so is a link of ours.
        linked = html.replace('href="/console/', f'href="{self.console.address}/console/')
        return HTMLResponse(linked, status, {"content-disposition": f"attachment; filename*=UTF-8''{name}"})

    def fragment(self, template: str, **context: Any) -> str:
        """Return a part of a page that is sent by itself, also to others: it has nothing that is this person's."""
        return rendered(template, {"now": datetime.now(UTC), **context})

    async def part(self, service: str, reading: Awaitable[T]) -> Part[T]:
        """Return what was read, or a line that says why not; what concerns the whole page is raised."""
        try:
            return Part(await reading)
        except (NotFound, Unauthenticated):
            raise
        except HeadraceError as error:
            absent = error.reason in ("METHOD_UNKNOWN", "SERVICE_UNAVAILABLE")
            if self.program and (absent or not isinstance(error, (Unavailable, DeadlineExceeded, PreconditionFailed))):
                raise
            if isinstance(error, PermissionDenied):
                if error.reason == "CLIENT_DENIED":
                    raise
                return Part(problem=f"You may not see this: {error.message}.")
            if absent:
                return Part(problem=f"The {service} is not installed here, or is down.")
            if error.reason == "PART_NOT_INSTALLED" or isinstance(error, PreconditionFailed):
                return Part(problem=f"{error.message[:1].upper()}{error.message[1:]}.")
            how = "refuses this" if isinstance(error, InvalidArgument) else "does not answer"
            return Part(problem=f"The {service} {how}: {error.message}.")

    async def parts(self, **readings: tuple[str, Awaitable[Any]]) -> dict[str, Part[Any]]:
        """Return several parts, read at the same time; each by the service that knows it."""
        found = await asyncio.gather(*(self.part(service, reading) for service, reading in readings.values()))
        return dict(zip(readings, found, strict=True))

    async def tried(self, writing: Awaitable[object]) -> bool:
        """Return whether something was done; a refusal is kept for the page, and what ends the session is raised."""
        try:
            await writing
        except HeadraceError as error:
            if error.reason == "CLIENT_DENIED" or isinstance(error, Unauthenticated):
                raise
            self.problem = error
        return self.problem is None

    def refuse(self, field: str, what: str) -> None:
        """Keep for the page that a field of the form cannot be as it is."""
        violation = FieldViolation(field, what)
        self.problem = InvalidArgument(f"{field} {what}", reason="FORM_INVALID", violations=[violation])

    def go_to(self, path: str, **query: str) -> Response:
        """Return a redirection after something was done; going back does it no second time."""
        return RedirectResponse(path + (f"?{urllib.parse.urlencode(query)}" if query else ""), 303)


async def known(reading: Awaitable[T]) -> T | None:
    """Return what was read; None for what does not exist yet."""
    try:
        return await reading
    except NotFound:
        return None


Handler = Callable[[Visit], Awaitable[Response]]


def signed_in(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a page that requires sign-in."""

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        console: Console = request.app.state.console
        session: Session | None = None
        try:
            session = await session_of(request)
            if session is None:
                return _to_sign_in(request)
            visit = Visit(
                request, console, session, console.client.with_token(session.login.access_token, trace(request))
            )
            if request.method == "POST":
                form = await sent_form(request, session.secret, session)
                if isinstance(form, Response):
                    return form
                visit.form = form
            return await handler(visit)
        except HeadraceError as error:
            if session is not None and (isinstance(error, Unauthenticated) or error.reason == "CLIENT_DENIED"):
                await console.sessions.end(session.secret)
                session = None
            remedy = remedy_of(error, request.path_params)
            return failure(status_of(error), error.message, error.reason, remedy, session=session)
        except ServiceError as error:
            return failure(http_status(error.code), error.public_message, error.reason or "", session=session)

    return endpoint


async def session_of(request: Request) -> Session | None:
    """Return the session of the browser; None for one that is not signed in. Raises Unavailable."""
    console: Console = request.app.state.console
    return await console.sessions.find(CookieSecret.of(request.cookies.get(SESSION_COOKIE)))


def savable(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a page that is also saved: by its link, or by a program that sends a token of the API.

    A program gets what the API refuses to its token as the API answers it.
    """

    async def in_session(visit: Visit) -> Response:
        visit.saved = "saved" in visit.query
        return await handler(visit)

    in_a_browser = signed_in(in_session)

    @functools.wraps(handler)
    async def endpoint(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return await in_a_browser(request)
        console: Console = request.app.state.console
        caller = Session(CookieSecret.new(), Login("", token, 0.0))
        client = console.client.with_token(token, trace(request))
        try:
            return await handler(Visit(request, console, caller, client, saved=True, program=True))
        except HeadraceError as error:
            refusal = error_for(
                Code(error.code.value[0]),
                error.message,
                reason=error.reason,
                violations=[ServiceViolation(one.field, one.description) for one in error.violations],
                metadata=error.metadata,
                retry_after_s=error.retry_after_s,
            )
            return JSONResponse(to_json(refusal), http_status(refusal.code))

    return endpoint


def trace(request: Request) -> tuple[tuple[str, str], ...]:
    """Return the trace context of what a request makes us call."""
    child = request.scope.get("headrace.traceparent", "")
    return (("traceparent", child),) if child else ()


def failure(
    status: int, message: str, reason: str = "", remedy: str = "", *, session: Session | None = None
) -> Response:
    """Return a page that says what is wrong and what to do about it. session: whose way to other pages stays."""
    context = {"title": f"{status}", "message": message, "reason": reason, "remedy": remedy or REMEDIES.get(status, "")}
    around: dict[str, Any] = {"subject": ""}
    if session is not None:
        around = {**_header(session), "path": "", "query": {}}
    return HTMLResponse(rendered("failure.html", {**context, **around}), status)


def _header(session: Session) -> dict[str, Any]:
    """Return the signed-in person's fields for the header of a page."""
    return {
        "subject": session.login.subject,
        "scopes": session.login.scopes,
        "form_token": session.secret.form_token,
    }


async def sent_form(
    request: Request, secret: CookieSecret | None, session: Session | None = None
) -> Mapping[str, str] | Response:
    """Return what was sent, or the refusal of what did not come from a page of ours to the browser with this secret."""
    try:
        content = await body_of(request)
        fields = urllib.parse.parse_qsl(content.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except TooLarge:
        return failure(413, "the form is larger than any of ours", "FORM_TOO_LARGE", session=session)
    except NotAForm:
        return failure(415, "this is no form of ours", "NOT_A_FORM", session=session)
    except ValueError:
        return failure(400, "the form cannot be read", "FORM_MALFORMED", session=session)
    form = dict(fields)
    if comes_from_elsewhere(request) or secret is None or not secret.is_form_token(form.get("form_token", "")):
        message = "this was not sent by a page of this session: open the page again, and send it from there"
        return failure(403, message, "FORM_TOKEN_WRONG", "Open the page again and send it from there.")
    return form


def _to_sign_in(request: Request) -> Response:
    if request.method != "GET" or request.headers.get("accept", "").startswith("text/event-stream"):
        return failure(401, "you are not signed in any more", "SIGNED_OUT")
    then = local_path(request.url.path + (f"?{request.url.query}" if request.url.query else ""), ROOT)
    return RedirectResponse(f"{SIGN_IN}?{urllib.parse.urlencode({'then': then})}", 303)
