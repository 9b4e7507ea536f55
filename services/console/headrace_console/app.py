"""The app: which path is which page, what stands around all of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from headrace_servicekit.calls import Call, make_call
from headrace_servicekit.errors import ServiceError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_console.console import ROOT, Console
from headrace_console.pages import (
    alerts,
    approvals,
    audit,
    comparison,
    data,
    experiments,
    home,
    jobs,
    model,
    pools,
    predictions,
    replays,
    report,
    rollouts,
    route,
    search,
    shadow,
    usage,
    versions,
)
from headrace_console.pages.markup import STATIC, asset
from headrace_console.pages.visits import failure, session_of
from headrace_console.security import SecurityHeaders
from headrace_console.signing_in import pages as signing_in

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]

# The URL of a static file changes with its content, so browsers may cache it for ever.
_KEPT = "public, max-age=31536000, immutable"
# Other methods are counted together as `_OTHER`, as in OpenTelemetry's conventions.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def pages() -> list[Route]:
    """Return every page below /console."""
    of_model = "/models/{model}"
    return [
        *signing_in.ROUTES,
        _read("/", home.home),
        _read("/search", search.search),
        _read(of_model, model.model),
        _write(f"{of_model}/promote", model.promote),
        _write(f"{of_model}/roll-back", model.roll_back),
        _write(f"{of_model}/approvals", approvals.ask),
        _write(f"{of_model}/approvals/{{request}}", approvals.answer),
        _read(f"{of_model}/versions/{{version}}", versions.version),
        _read(f"{of_model}/comparison", comparison.comparison),
        _read(f"{of_model}/route", route.route),
        _write(f"{of_model}/route", route.change),
        _read(f"{of_model}/rollouts", rollouts.rollouts),
        _write(f"{of_model}/rollouts", rollouts.begin),
        _read(f"{of_model}/shadow", shadow.shadow),
        _read(f"{of_model}/experiments", experiments.experiments),
        _read(f"{of_model}/experiments/{{experiment}}", experiments.experiment),
        _write(f"{of_model}/experiments/{{experiment}}/conclude", experiments.conclude),
        _write(f"{of_model}/experiments/{{experiment}}/end", experiments.end),
        _read(f"{of_model}/data", data.data),
        _read(f"{of_model}/report", report.report),
        _read(f"{of_model}/audit", audit.audit),
        _read("/rollouts", rollouts.rollouts),
        _read("/rollouts/{model}/{rollout}", rollouts.rollout),
        _write("/rollouts/{model}/{rollout}", rollouts.act),
        _read("/live/rollouts/{model}/{rollout}", rollouts.follow),
        _read("/experiments", experiments.experiments),
        _read("/predictions", predictions.predictions),
        _read("/pools", pools.pools),
        _read("/pools/{pool}", pools.pool),
        _read("/pools/{pool}/replay", replays.replay),
        _read("/live/pools/{pool}", pools.follow),
        _read("/alerts", alerts.alerts),
        _write("/alerts/silence", alerts.silence),
        _write("/alerts/end-silence", alerts.end_silence),
        _write("/alerts/resolve", alerts.resolve),
        _read("/jobs", jobs.jobs),
        _read("/jobs/{model}/{job}", jobs.job),
        _write("/jobs/{model}/{job}", jobs.act),
        _write("/jobs/{model}/{job}/publication", jobs.publish),
        _read("/live/jobs/{model}/{job}", jobs.follow),
        _read("/usage", usage.usage),
        _read("/audit", audit.audit),
    ]


def _read(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=["GET"])


def _write(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=["POST"])


def create_app(console: Console, *, ready: Any) -> ASGIApp:
    """Return the app. ready: says whether the service wants requests, which the front door asks."""

    async def readiness(_request: Request) -> Response:
        return PlainTextResponse("ready\n" if ready() else "not ready\n", 200 if ready() else 503)

    async def to_root(_request: Request) -> Response:
        return RedirectResponse(ROOT, 307)

    app = Starlette(
        routes=[
            Route("/readyz", readiness, methods=["GET"]),
            Route("/console", to_root, methods=["GET"]),
            Mount("/console", routes=[Mount("/static", _ImmutableFiles(directory=STATIC)), *pages()]),
        ],
        exception_handlers={HTTPException: _refused, Exception: _defect},
    )
    app.router.redirect_slashes = False
    app.state.console = console
    # Starlette's handler of unexpected errors runs outside its middleware stack, so headers are set outside the app.
    return SecurityHeaders(_Accounting(app, console), secure=console.secure)


class _ImmutableFiles(StaticFiles):
    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        asked = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        # While versions are exchanged, pages of the new one ask an old process, which has other files.
        answer.headers["cache-control"] = _KEPT if asked == asset(Path(full_path).name) else "no-cache"
        return answer


class _Accounting:
    """Counts requests by page, and makes the span of each that is sampled."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app, self._console = app, console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = make_call(headers.get("x-request-id"), headers.get("traceparent"), headers.get("tracestate"))
        call, span = self._begin(scope, call)
        scope["headrace.traceparent"] = call.traceparent or ""

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # The duration of a stream is how long the page is open.
                self._count(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            if span is not None and self._console.tracing is not None:
                self._console.tracing.end(span, "INTERNAL" if status >= 500 else "OK")
            if not _is_quiet(scope):
                log.info("page", path=scope["path"], method=scope["method"], status=status, request_id=call.request_id)

    def _begin(self, scope: Scope, call: Call) -> tuple[Call, Any]:
        tracing = self._console.tracing
        if tracing is None or _is_quiet(scope):
            return call, None
        return tracing.start(f"/headrace.console/{scope['method']}", call)

    def _count(self, scope: Scope, status: int, passed_s: float) -> None:
        route = scope.get("route")
        name = getattr(route, "path", "other") if "endpoint" in scope else "other"
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        self._console.metrics.requests.labels(name, method, str(status)).observe(passed_s)


def _is_quiet(scope: Scope) -> bool:
    return scope["path"] == "/readyz" or scope["path"].startswith("/console/static/")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    try:
        session = await session_of(request) if error.status_code == 404 else None
    except ServiceError:  # PostgreSQL is away; the page is refused all the same
        session = None
    message = {404: "there is no such page", 405: "this page takes no such request"}.get(
        error.status_code, error.detail
    )
    return failure(error.status_code, message, session=session)


async def _defect(request: Request, error: Exception) -> Response:
    log.error("a page failed", path=request.url.path, exc_info=error)
    return failure(500, "the page could not be made: this is a defect, and is in the log", "INTERNAL")
