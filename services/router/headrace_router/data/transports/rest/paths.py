"""Which REST path is answered by what: predictions, and what is read about models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from headrace_servicekit.errors import NotFound, Unimplemented
from headrace_servicekit.identity import Identity

from headrace_router.data.answer.answer import Answer
from headrace_router.data.protocols import natural_json, predict_json
from headrace_router.data.request.request import Request

SPEC_PATH = "/v1/predict"
MODELS_PREFIX, PREDICT_SUFFIX, STREAM_SUFFIX = "/v1/models/", ":predict", ":predictStream"

JSON = (b"content-type", b"application/json")
ByteHeaders = tuple[tuple[bytes, bytes], ...]


class WrongMethod(Unimplemented):
    """The path exists, the HTTP method does not. allow: the one that does."""

    def __init__(self, path: str, method: str, allow: str) -> None:
        super().__init__(f"{path} takes {allow}, not {method}", reason="METHOD_NOT_ALLOWED")
        self.allow = allow


class Reply(NamedTuple):
    """An answer to a request. headers: besides its length."""

    body: bytes
    status: int = 200
    headers: ByteHeaders = (JSON,)


Render = Callable[[Answer], Reply]


class PredictionRoute(NamedTuple):
    """A path that predicts. parse: makes of a body and the headers a request, and what renders its answer."""

    parse: Callable[[bytes, Mapping[str, str]], tuple[Request, Render]]


class StreamRoute(NamedTuple):
    """A path that predicts in parts."""

    model: str


class ReadRoute(NamedTuple):
    """A path that reads what is known of models. read: gives the answer to a caller and a body."""

    read: Callable[[Identity, bytes], Reply]


def path_of(raw: bytes) -> str:
    """Return a path decoded."""
    return unquote_to_bytes(raw).decode("utf-8", "replace")


def find_v1(method: str, raw: bytes) -> PredictionRoute | StreamRoute:
    """Return what answers a path below `/v1`. Raises NotFound, WrongMethod."""
    path = path_of(raw)
    model, streamed = _model(path, PREDICT_SUFFIX), _model(path, STREAM_SUFFIX)
    if model is None and streamed is None and path != SPEC_PATH:
        raise NotFound(f"no such path: {path}", reason="PATH_NOT_FOUND")
    if method != "POST":
        raise WrongMethod(path, method, "POST")
    if streamed is not None:
        return StreamRoute(streamed)
    if model is None:
        return _SPECIFICATION
    return PredictionRoute(lambda body, _headers: (natural_json.parse(model, body), _natural))


def _model(path: str, suffix: str) -> str | None:
    """Return the model in `/v1/models/{model}` with a suffix behind it, or None for any other path."""
    if not path.startswith(MODELS_PREFIX) or not path.endswith(suffix):
        return None
    model = path[len(MODELS_PREFIX) : -len(suffix)]
    return model if model and "/" not in model else None


def _natural(answer: Answer) -> Reply:
    return Reply(natural_json.render(answer))


def _specification(body: bytes, _headers: Mapping[str, str]) -> tuple[Request, Render]:
    request, inputs = predict_json.parse(body)
    return request, lambda answer: Reply(predict_json.render(answer, inputs))


_SPECIFICATION = PredictionRoute(_specification)
