"""The REST paths of the Open Inference Protocol, and of Triton's extensions, below `/v2`.

Paths are compared as they were sent, so that nothing means another path here than at the front door, which judges by
them; only the names of models and versions are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace_servicekit.error_details import to_json
from headrace_servicekit.errors import NotFound, ServiceError, Unimplemented
from headrace_servicekit.identity import Identity

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols.json_body import document, dump, wrong
from headrace_router.data.protocols.oip import infer_json
from headrace_router.data.protocols.oip.catalog import Catalog
from headrace_router.data.protocols.oip.unsupported_methods import (
    GENERATE,
    LOADING,
    LOGGING,
    SHARED_MEMORY,
    TRACING,
    Unsupported,
)
from headrace_router.data.request.request import Request
from headrace_router.data.transports.call_context import JSON_LENGTH_HEADER
from headrace_router.data.transports.rest.paths import PredictionRoute, ReadRoute, Render, Reply, WrongMethod, path_of

ROOT = b"/v2"
OF_ANYBODY = frozenset((b"/v2/health/live", b"/v2/health/ready"))
_OCTETS = (b"content-type", b"application/octet-stream")

Find = PredictionRoute | ReadRoute


def below_root(raw: bytes) -> bool:
    """Return whether a path is the protocol's."""
    return raw == ROOT or raw.startswith(ROOT + b"/")


def refusal_of(error: ServiceError) -> dict[str, Any]:
    """Return the body of an error: clients look for `error`, the rest is as everywhere in Headrace."""
    body = to_json(error)
    return {"error": body.pop("message"), **body}


class InferencePaths:
    """What answers each path."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, method: str, raw: bytes) -> Find:
        """Return what answers a path. Raises NotFound, WrongMethod, and Unimplemented for what Triton has beyond it."""
        path = raw.decode("latin-1")
        segments = path.split("/")[2:]
        match segments:
            case ["models", model, "versions", version, *rest]:
                return self._of_model(method, path, _name(model), _name(version), rest)
            case ["models", "stats"]:
                found = self._reading(lambda caller: self._catalog.statistics("", "", caller))
            case ["models", model, *rest]:
                return self._of_model(method, path, _name(model), "", rest)
            case ["repository", "index"]:
                _only("POST", method, path)
                return ReadRoute(self._index)
            case _:
                found = self._of_server(path, segments)
        _only("GET", method, path)
        return found

    def _of_server(self, path: str, segments: Sequence[str]) -> ReadRoute:
        catalog = self._catalog
        match segments:
            case [] | [""]:
                return self._reading(lambda _caller: catalog.server())
            case ["health", "live"]:
                return self._reading(lambda _caller: {"live": True})
            case ["health", "ready"]:
                return ReadRoute(lambda _caller, _body: _ready({"ready": catalog.ready()}))
            case ["models"]:
                return self._reading(lambda caller: {"models": catalog.models(caller)})
            case ["repository", "models", _, "load" | "unload"]:
                raise _not_served(path, LOADING)
            case ["systemsharedmemory" | "cudasharedmemory", *_]:
                raise _not_served(path, SHARED_MEMORY)
            case ["trace", "setting"]:
                raise _not_served(path, TRACING)
            case ["logging"]:
                raise _not_served(path, LOGGING)
        raise NotFound(f"no such path: {path}", reason="PATH_NOT_FOUND")

    def _of_model(self, method: str, path: str, model: str, version: str, rest: Sequence[str]) -> Find:
        catalog = self._catalog
        match rest:
            case ["infer"]:
                _only("POST", method, path)
                return PredictionRoute(lambda body, headers: _infer(model, version, body, headers))
            case []:
                found = self._reading(lambda caller: catalog.metadata(model, version, caller))
            case ["config"]:
                found = self._reading(lambda caller: catalog.config(model, version, caller))
            case ["stats"]:
                found = self._reading(lambda caller: catalog.statistics(model, version, caller))
            case ["ready"]:
                found = ReadRoute(
                    lambda caller, _body: _ready({"name": model, "ready": catalog.model_ready(model, version, caller)})
                )
            case ["generate" | "generate_stream"]:
                raise _not_served(path, GENERATE)
            case ["trace", "setting"]:
                raise _not_served(path, TRACING)
            case _:
                raise NotFound(f"no such path: {path}", reason="PATH_NOT_FOUND")
        _only("GET", method, path)
        return found

    def _index(self, caller: Identity, body: bytes) -> Reply:
        wanted = document(body, ("ready", "repository_name")) if body.strip() else {}
        ready_only = wanted.get("ready", False)
        if not isinstance(ready_only, bool):
            raise wrong("ready", "true or false is needed")
        return Reply(dump(self._catalog.index(caller, ready_only=ready_only)))

    def _reading(self, read: Callable[[Identity], dict[str, Any]]) -> ReadRoute:
        return ReadRoute(lambda caller, _body: Reply(dump(read(caller))))


def _infer(model: str, version: str, body: bytes, headers: Mapping[str, str]) -> tuple[Request, Render]:
    request, render = infer_json.parse(model, version, body, headers.get(JSON_LENGTH_HEADER))
    return request, lambda answer: _reply(render, answer)


def _reply(render: infer_json.Render, answer: Answer) -> Reply:
    content, json_length = render(answer)
    if json_length is None:
        return Reply(content)
    return Reply(content, headers=(_OCTETS, (JSON_LENGTH_HEADER.encode(), str(json_length).encode())))


def _ready(body: dict[str, Any]) -> Reply:
    return Reply(dump(body), 200 if body["ready"] else 503)


def _name(segment: str) -> str:
    return path_of(segment.encode("latin-1"))


def _only(allow: str, method: str, path: str) -> None:
    if method != allow:
        raise WrongMethod(path, method, allow)


def _not_served(path: str, unsupported: Unsupported) -> Unimplemented:
    return Unimplemented(f"{path} is not served: {unsupported.remedy}", reason=unsupported.reason)
