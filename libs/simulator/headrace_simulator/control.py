"""The control interface: faults are set, listed and cleared while the simulator runs, by HTTP and JSON."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
import socket
from collections.abc import Iterator

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from headrace_simulator.decisions.faults import FAULT, NAME, first_problem
from headrace_simulator.injection import Injection, TooManyFaults

_MAX_BODY_BYTES = 16 * 1024
_MOST_AT_ONCE = 64
_HELP = """\
GET    /faults          what is set, with how many calls each was about and met
PUT    /faults/NAME     set a fault, such as {"kind": "slow", "base_ms": 500, "for_s": 30}
DELETE /faults/NAME     end it
DELETE /faults          end all
Kinds and fields: headrace-simulator --help
"""


class Control:
    """The ASGI app. token: what callers have to bear; without one they have to call this machine by its own name."""

    def __init__(self, injection: Injection, token: str | None) -> None:
        self._injection, self._token = injection, token
        # A page in a browser that has its own name lead here must set no faults.
        names = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
        self.app = Starlette(
            routes=[
                Route("/", self._help),
                Route("/faults", self._list, methods=["GET"]),
                Route("/faults", self._clear, methods=["DELETE"]),
                Route("/faults/{name}", self._put, methods=["PUT"]),
                Route("/faults/{name}", self._remove, methods=["DELETE"]),
            ],
            middleware=[names] if token is None else [],
        )

    async def _help(self, _request: Request) -> Response:
        return PlainTextResponse(_HELP)

    async def _list(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"faults": self._injection.listing()})

    async def _clear(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        self._injection.clear()
        return Response(status_code=204)

    async def _put(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        name = request.path_params["name"]
        if not re.fullmatch(NAME, name) or len(name) > 64:
            return _error(400, "name", "lower-case words and digits joined by hyphens, at most 64 characters")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY_BYTES:
                return _error(413, "body", f"is longer than {_MAX_BODY_BYTES} bytes")
        try:
            fault = FAULT.validate_json(body)
            self._injection.put(name, fault)
        except ValidationError as error:
            return _error(400, *first_problem(error))
        except TooManyFaults as error:
            return _error(429, "name", str(error))
        return JSONResponse({"name": name, **FAULT.dump_python(fault, mode="json", exclude_none=True)})

    async def _remove(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        if not self._injection.remove(request.path_params["name"]):
            return _error(404, "name", "no such fault is set: GET /faults lists them")
        return Response(status_code=204)

    def _refusal(self, request: Request) -> Response | None:
        """Return why a caller may not, None for one that may."""
        given = request.headers.get("authorization", "")
        if self._token is None or hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return None
        return _error(401, "authorization", "must be `Bearer` and the token of --control-token-file")


def _error(status: int, field: str, message: str) -> Response:
    return JSONResponse({"error": {"field": field, "message": message}}, status_code=status)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


class ControlServer:
    """Serves the control interface. Raises OSError at once when its port is taken."""

    def __init__(self, control: Control, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port))  # noqa: TID251  (nothing of ours is imported here)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Uvicorn(
            uvicorn.Config(
                control.app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_AT_ONCE,
                timeout_graceful_shutdown=1,
            )
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="control interface")

    async def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
