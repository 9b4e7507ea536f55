"""The pages of sign-in and sign-out. Their readers are not authenticated: every response may go to an attacker."""

from __future__ import annotations

import urllib.parse

import structlog
from headrace_client.issuer import LINK_LIFETIME
from headrace_servicekit.error_details import http_status
from headrace_servicekit.errors import ServiceError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from headrace_console.console import ROOT, SIGN_IN, Console
from headrace_console.pages.markup import rendered
from headrace_console.pages.visits import SESSION_COOKIE, Visit, failure, sent_form, signed_in
from headrace_console.security import local_path, peer_of
from headrace_console.sessions.cookie_secrets import CookieSecret
from headrace_console.sessions.sessions import Login
from headrace_console.signing_in.development import DevelopmentSignIn
from headrace_console.signing_in.oidc import SIGN_IN_LIFETIME, OpenIdSignIn

log = structlog.get_logger()

SIGN_IN_COOKIE = "headrace_sign_in"


async def sign_in(request: Request) -> Response:
    """Show how to sign in. The redirect to a provider needs a click, so that a person first sees where they are."""
    way = _console(request).sign_in
    how = "provider" if isinstance(way, OpenIdSignIn) else "link" if way is not None else "none"
    then = local_path(request.query_params.get("then", ""), ROOT)
    context = {"title": "Sign in", "subject": "", "how": how, "start": f"{SIGN_IN}/start?{_encoded(then=then)}"}
    return HTMLResponse(rendered("sign_in.html", context))


async def start(request: Request) -> Response:
    """Send the browser to the provider."""
    console = _console(request)
    way = console.sign_in
    if not isinstance(way, OpenIdSignIn):
        return RedirectResponse(SIGN_IN, 303)
    if refusal := _limited(request):
        return refusal
    try:
        secret, url = await way.begin(local_path(request.query_params.get("then", ""), ROOT))
    except ServiceError as error:
        return _refused(console, error)
    console.metrics.sign_ins.labels("begun").inc()
    answer = RedirectResponse(url, 303)
    _set_cookie(console, answer, SIGN_IN_COOKIE, secret, path=SIGN_IN, max_age=int(SIGN_IN_LIFETIME.total_seconds()))
    return answer


async def callback(request: Request) -> Response:
    """Take the provider's answer."""
    console = _console(request)
    way = console.sign_in
    if not isinstance(way, OpenIdSignIn):
        return RedirectResponse(SIGN_IN, 303)
    if refusal := _limited(request):
        return refusal
    try:
        secret = CookieSecret.of(request.cookies.get(SIGN_IN_COOKIE))
        login, then = await way.finish(secret, request.query_params)
        answer = await _signed_in(request, login, then)
    except ServiceError as error:
        return _refused(console, error)
    answer.delete_cookie(SIGN_IN_COOKIE, path=SIGN_IN)
    return answer


async def ask_by_link(request: Request) -> Response:
    """Show the subject of a one-time link of the development issuer, and the button that signs in."""
    console = _console(request)
    if not isinstance(console.sign_in, DevelopmentSignIn):
        return RedirectResponse(SIGN_IN, 303)
    if refusal := _limited(request):
        return refusal
    link = request.query_params.get("link", "")
    try:
        who = console.sign_in.named(link)
    except ServiceError as error:
        return _refused(console, error)
    secret = CookieSecret.new()
    then = local_path(request.query_params.get("then", ""), ROOT)
    asked = {"who": who, "link": link, "then": then, "form_token": secret.form_token}
    answer = HTMLResponse(rendered("sign_in.html", {"title": "Sign in", "subject": "", "how": "button", **asked}))
    _set_cookie(console, answer, SIGN_IN_COOKIE, secret, path=SIGN_IN, max_age=int(LINK_LIFETIME.total_seconds()))
    return answer


async def by_link(request: Request) -> Response:
    """Take a one-time link, from the page that asked."""
    console = _console(request)
    if not isinstance(console.sign_in, DevelopmentSignIn):
        return RedirectResponse(SIGN_IN, 303)
    if refusal := _limited(request):
        return refusal
    form = await sent_form(request, CookieSecret.of(request.cookies.get(SIGN_IN_COOKIE)))
    if isinstance(form, Response):
        console.metrics.sign_ins.labels("refused").inc()
        return form
    try:
        login = await console.sign_in.by_link(form.get("link", ""))
        answer = await _signed_in(request, login, local_path(form.get("then", ""), ROOT))
    except ServiceError as error:
        return _refused(console, error)
    answer.delete_cookie(SIGN_IN_COOKIE, path=SIGN_IN)
    return answer


@signed_in
async def sign_out(visit: Visit) -> Response:
    """End the session here, and the provider's where it can be ended."""
    console = visit.console
    await console.sessions.end(visit.session.secret)
    to = SIGN_IN
    if isinstance(console.sign_in, OpenIdSignIn):
        try:
            to = await console.sign_in.sign_out_url(visit.session.login, f"{console.address}{SIGN_IN}") or SIGN_IN
        except ServiceError as error:
            log.info("the provider's session continues", reason=error.public_message)
    # Browsers apply form-action to where a form leads in the end: a page in between, with a link, leads out.
    if to == SIGN_IN:
        answer: Response = RedirectResponse(SIGN_IN, 303)
    else:
        answer = HTMLResponse(rendered("signed_out.html", {"title": "Signed out", "subject": "", "provider": to}))
    answer.delete_cookie(SESSION_COOKIE, path="/console")
    return answer


async def _signed_in(request: Request, login: Login, then: str) -> Response:
    console = _console(request)
    if console.denials.is_denied(login.subject):
        console.metrics.sign_ins.labels("refused").inc()
        return failure(403, "this client's tokens are refused", "CLIENT_DENIED")
    before = CookieSecret.of(request.cookies.get(SESSION_COOKIE))
    session = await console.sessions.begin(login, before)
    console.metrics.sign_ins.labels("done").inc()
    answer = RedirectResponse(then, 303)
    _set_cookie(console, answer, SESSION_COOKIE, session.secret, path="/console", max_age=None)
    return answer


def _set_cookie(
    console: Console, answer: Response, name: str, secret: CookieSecret, *, path: str, max_age: int | None
) -> None:
    # Lax: a link in a colleague's message, and the provider's answer, find a browser signed in.
    answer.set_cookie(
        name, secret.text, max_age=max_age, path=path, secure=console.secure, httponly=True, samesite="lax"
    )


def _limited(request: Request) -> Response | None:
    console = _console(request)
    if console.limit.admit(peer_of(request)):
        return None
    console.metrics.sign_ins.labels("limited").inc()
    return failure(429, "too many sign-ins from this address", "RATE_LIMITED", "Wait a minute, then sign in again.")


def _refused(console: Console, error: ServiceError) -> Response:
    console.metrics.sign_ins.labels("refused").inc()
    log.info("sign-in refused", reason=error.reason, why=error.public_message)
    return failure(http_status(error.code), error.public_message, error.reason or "")


def _console(request: Request) -> Console:
    return request.app.state.console


def _encoded(**query: str) -> str:
    return urllib.parse.urlencode(query)


ROUTES = (
    Route("/sign-in", sign_in, methods=["GET"]),
    Route("/sign-in/start", start, methods=["GET"]),
    Route("/sign-in/callback", callback, methods=["GET"]),
    Route("/sign-in/link", ask_by_link, methods=["GET"]),
    Route("/sign-in/link", by_link, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
)
