"""The front door's own errors, in the two shapes that services use: `google.rpc.Status` in trailers, and JSON."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from headrace_servicekit.error_details import http_status, to_json, to_status
from headrace_servicekit.errors import Code, ServiceError, error_for

from front_door import inference
from front_door.access import (
    DENIED_POLICY,
    PREDICT_PATH,
    PREDICT_PATH_REGEX,
    PREDICT_SCOPE,
    PREDICT_STREAM_REGEX,
    scope_table,
)
from front_door.api import Api
from front_door.shapes import Json, header_is, typed

RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """The error that callers get when Envoy itself answers.

    when: a CEL expression over Envoy's answer and the request at that time. http: status for REST; None takes the
    code's usual one. says: append Envoy's text, for REST.
    """

    when: str
    error: ServiceError
    http: int | None = None
    says: bool = False


def local_replies(api: Api, first: tuple[Rule, ...] = ()) -> Json:
    """Return the `local_reply_config`: the first rule that holds writes the answer. first: rules before all others."""
    mappers = []
    for rule in (*first, *rules(api)):
        mappers += [_for_inference(rule), _for_rest(rule), _for_grpc(rule)]
    # What the JSON check says is complete already.
    return {"mappers": [{"filter": _cel("response.code_details == 'lua_response' && response.code == 400")}, *mappers]}


def rules(api: Api) -> tuple[Rule, ...]:
    """Return all rules, the most specific first; the last ones hold for whatever is left."""
    return (*_IDENTITY, *_scopes(api), *_LIMITS, *_REQUESTS, *_DEADLINES, *_UPSTREAM, *_REST)


def _rule(when: str, code: Code, reason: str, message: str, *, http: int | None = None, says: bool = False) -> Rule:
    retry = RETRY_AFTER_S if code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED) and http is None else None
    return Rule(when, error_for(code, message, reason=reason, retry_after_s=retry), http, says)


def _details(*fragments: str) -> str:
    return " || ".join(f"response.code_details.contains('{fragment}')" for fragment in fragments)


def _by_script(status: int) -> str:
    """Return the alternative that `lua/token.lua` refused, which says why by a status."""
    return f" || (response.code_details == 'lua_response' && response.code == {status})"


_IDENTITY = (
    _rule(
        _details("Jwt_is_missing") + _by_script(407), Code.UNAUTHENTICATED, "TOKEN_MISSING",
        "a token is required: send the header 'authorization: Bearer TOKEN'",
    ),
    _rule(_details("Jwt_is_expired"), Code.UNAUTHENTICATED, "TOKEN_EXPIRED", "the token has expired: get a new one"),
    _rule(
        _details("Audiences_in_Jwt_are_not_allowed") + _by_script(403), Code.UNAUTHENTICATED, "TOKEN_AUDIENCE_REFUSED",
        "the token is for another audience",
    ),
    _rule(
        _details("jwt_authn_access_denied") + _by_script(401),
        Code.UNAUTHENTICATED, "TOKEN_INVALID",
        "the token cannot be accepted: signature, issuer, lifetime, subject or models are not as they must be",
    ),
    _rule(
        _details(f"rbac_access_denied_matched_policy[{DENIED_POLICY}]"), Code.PERMISSION_DENIED, "CLIENT_DENIED",
        "this client's tokens are refused",
    ),
)  # fmt: skip

_LIMITS = (
    _rule(_details("local_rate_limited"), Code.RESOURCE_EXHAUSTED, "RATE_LIMITED", "the client sends more than it may"),
    _rule(
        _details("overflow") + " || response.code_details == 'overload'", Code.RESOURCE_EXHAUSTED, "OVERLOADED",
        "too many requests are in progress",
    ),
    _rule(
        "response.code == 413", Code.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE",
        "the request is larger than the front door takes", http=413,
    ),
    _rule(
        "response.code == 431", Code.RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE",
        "the request's headers are larger than the front door takes", http=431,
    ),
)  # fmt: skip

_NOTHING_HERE = (
    "nothing is served at this path and method; predictions are made by POST to /v1/models/{model}:predict, "
    f"{PREDICT_PATH} or {inference.REST_ROOT}/models/{{model}}/infer"
)
_NO_SUCH_METHOD = (
    "this method is not served here; predictions are made by headrace.router.v1.RouterService/Predict "
    f"or {inference.SERVICE}/ModelInfer"
)

_REQUESTS = (
    _rule(
        _details("http1.invalid_transfer_encoding"), Code.UNIMPLEMENTED, "TRANSFER_ENCODING_UNSUPPORTED",
        "a body comes with content-length or with 'transfer-encoding: chunked', in no other encoding",
    ),
    # Whatever else is wrong with how a request is written is the caller's, also where Envoy's own status is 5xx.
    _rule(
        "response.code >= 500 && response.code_details.matches('^http[123][.]')", Code.INVALID_ARGUMENT,
        "REQUEST_REFUSED", "the request cannot be read", says=True,
    ),
    _rule("response.code == 404", Code.NOT_FOUND, "PATH_UNKNOWN", _NOTHING_HERE),
    _rule(_details("path_normalization"), Code.INVALID_ARGUMENT, "PATH_REFUSED", "the path is not in its plain form"),
    _rule(
        _details("grpc_json_transcode_failure") + " && response.code < 500", Code.INVALID_ARGUMENT, "INVALID_REQUEST",
        "the request does not fit the method", says=True,
    ),
)  # fmt: skip

_DEADLINES = (
    _rule(
        "response.code == 408",
        Code.DEADLINE_EXCEEDED,
        "REQUEST_TOO_SLOW",
        "the request did not arrive in time",
        http=408,
    ),
    _rule("response.code == 504", Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the answer did not come in time"),
)

_UPSTREAM = (
    _rule(
        "response.code == 503 || response.code == 502", Code.UNAVAILABLE, "SERVICE_UNAVAILABLE",
        "the service that answers this cannot be reached",
    ),
)  # fmt: skip

_REST = (
    _rule("response.code >= 500", Code.INTERNAL, "FRONT_DOOR_FAILURE", "the answer could not be passed on"),
    _rule("response.code >= 400", Code.INVALID_ARGUMENT, "REQUEST_REFUSED", "the request cannot be read", says=True),
)


def _scopes(api: Api) -> tuple[Rule, ...]:
    refused = _details("rbac_access_denied")
    by_path = [
        Rule(
            f"({refused}) && request.url_path in {list(paths)!r}",
            error_for(
                Code.PERMISSION_DENIED,
                f"the token does not have the scope '{scope}'",
                reason="SCOPE_MISSING",
                metadata={"scope": scope},
            ),
        )
        for scope, paths in scope_table(api).items()
    ]
    # Predictions by REST. Anything else that the table refuses was never declared.
    regex = f"^({PREDICT_PATH_REGEX}|{PREDICT_STREAM_REGEX})$"
    predicts = f"request.url_path == '{PREDICT_PATH}' || request.url_path.matches('{regex}')"
    rest = Rule(
        f"({refused}) && request.method == 'POST' && ({predicts})",
        error_for(
            Code.PERMISSION_DENIED, f"the token does not have the scope '{PREDICT_SCOPE}'", reason="SCOPE_MISSING",
            metadata={"scope": PREDICT_SCOPE},
        ),
    )  # fmt: skip
    served = [method.path for method in inference.methods()]
    asks = Rule(
        f"({refused}) && ({_BELOW_V2} || {_BELOW_KSERVE} || request.url_path in {served!r})",
        error_for(
            Code.PERMISSION_DENIED, f"the token does not have the scope '{PREDICT_SCOPE}'", reason="SCOPE_MISSING",
            metadata={"scope": PREDICT_SCOPE},
        ),
    )  # fmt: skip
    other = _rule(refused, Code.NOT_FOUND, "PATH_UNKNOWN", _NOTHING_HERE)
    return (*by_path, rest, asks, other)


_BELOW_V2 = f"(request.url_path == '{inference.REST_ROOT}' || request.url_path.startsWith('{inference.REST_ROOT}/'))"

_BELOW_KSERVE = f"request.url_path.matches('^{inference.KSERVE_ROOT}(/|$)')"


def _for_rest(rule: Rule) -> Json:
    body = to_json(rule.error)
    body["message"] = _escape(body["message"]) + (": %LOCAL_REPLY_BODY%" if rule.says else "")
    mapper: Json = {
        "filter": {"and_filter": {"filters": [_cel(rule.when), {"or_filter": {"filters": [_TRANSCODED, _NOT_GRPC]}}]}},
        "status_code": rule.http or http_status(rule.error.code),
        "body_format_override": {"json_format": body},
    }
    if rule.error.retry_after_s is not None:
        mapper["headers_to_add"] = [_header("retry-after", str(RETRY_AFTER_S))]
    return mapper


def _for_inference(rule: Rule) -> Json:
    """Return the answer in the shape of the Open Inference Protocol, whose clients look for `error`."""
    mapper = _for_rest(rule)
    body = mapper["body_format_override"]["json_format"]
    shaped = {"error": body["message"], "code": body["code"], "details": body["details"]}
    below = {"and_filter": {"filters": [_cel(f"({rule.when}) && {_BELOW_V2}"), _NOT_GRPC]}}
    return {**mapper, "filter": below, "body_format_override": {"json_format": shaped}}


def _for_grpc(rule: Rule) -> Json:
    error = _as_grpc(rule.error)
    headers = [_header(name, value) for name, value in grpc_headers(error).items()]
    if error.retry_after_s is not None:
        headers.append(_header("grpc-retry-pushback-ms", str(RETRY_AFTER_S * 1000)))
    return {
        "filter": _cel(rule.when),
        "headers_to_add": headers,
        "body_format_override": {"text_format_source": {"inline_string": _escape(error.public_message)}},
    }


def grpc_headers(error: ServiceError) -> dict[str, str]:
    """Return the headers with code and details of a gRPC error; the message has a separate header."""
    status = base64.b64encode(to_status(error).SerializeToString(deterministic=True)).decode().rstrip("=")
    return {"grpc-status": str(int(error.code)), "grpc-status-details-bin": status}


def _as_grpc(error: ServiceError) -> ServiceError:
    """A path that does not exist is a method that is not implemented, as in every gRPC server."""
    if error.reason == "PATH_UNKNOWN":
        return error_for(Code.UNIMPLEMENTED, _NO_SUCH_METHOD, reason="METHOD_UNKNOWN")
    return error


_TRANSCODED = {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}}
_NOT_GRPC = {
    "header_filter": {
        "header": {
            **header_is("content-type", prefix="application/grpc"),
            "invert_match": True,
            "treat_missing_header_as_empty": True,
        }
    }
}


def _cel(expression: str) -> Json:
    kind = "extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(kind, expression=expression),
        }
    }


def _header(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _escape(text: str) -> str:
    return text.replace("%", "%%")
