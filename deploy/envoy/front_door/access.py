"""Who may call what: the token check, the identity headers, denied clients, the limit per client, the scope table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from headrace_servicekit.identity import CLIENT_HEADER, SCOPE_CLAIMS

from front_door import inference
from front_door.api import Api
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, exact, header_is, lua_value, seconds, typed

JWT = "envoy.filters.http.jwt_authn"
IDENTITY = "headrace.identity"
DENIED = "headrace.denied"
CLIENT_LIMIT = "headrace.client_limit"
SCOPES = "headrace.scopes"

HEALTH_PREFIX = "/grpc.health.v1.Health/"
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

PREDICT_METHOD = "/headrace.router.v1.RouterService/Predict"
# Predictions by REST: served by the data plane itself, so no descriptor tells of them.
PREDICT_PATH = "/v1/predict"
PREDICT_PATH_REGEX = "/v1/models/[^/]+:predict"
PREDICT_STREAM_REGEX = "/v1/models/[^/]+:predictStream"
PREDICT_SCOPE = inference.PREDICT_SCOPE

DENIED_POLICY = "denied-client"

_IDENTITY_SCRIPTS = tuple(Path(__file__).with_name("lua") / name for name in ("json.lua", "token.lua", "identity.lua"))
MAX_TOKEN_BYTES = 4096
_RBAC = "extensions.filters.http.rbac.v3.RBAC"
# Clients whose buckets are kept; the least recently seen one is forgotten, and starts full when it comes back.
_MOST_CLIENTS = 10_000
# Calls without a client, which are health checks only.
_ANONYMOUS_PER_SECOND = 1_000


def token_check(settings: FrontDoorSettings, jwks: str) -> Json:
    """Return the filter that lets through only requests with a good token, health excepted. jwks: the keys, as JSON."""
    provider = {
        "issuer": settings.issuer,
        "audiences": [settings.audience],
        "local_jwks": {"inline_string": jwks},
        "require_expiration": True,
        # Envoy adds no difference between clocks here.
        "max_lifetime": seconds(settings.token_max_lifetime_s + settings.token_clock_skew_s),
        "clock_skew_seconds": settings.token_clock_skew_s,
        # Named, because the default also takes ?access_token=, which ends up in other people's logs. RFC 9110 has
        # the scheme without regard to case; these are the two that are sent.
        "from_headers": [
            {"name": "authorization", "value_prefix": "Bearer "},
            {"name": "authorization", "value_prefix": "bearer "},
        ],
        # The identity script judges it too; services do not get it (`routes.TOKEN_REMOVED`).
        "forward": True,
        "payload_in_metadata": "claims",
        # One text of scopes becomes the list of them.
        "normalize_payload_in_metadata": {"space_delimited_claims": list(SCOPE_CLAIMS)},
        "jwt_cache_config": {"jwt_cache_size": 1000, "jwt_max_token_size": MAX_TOKEN_BYTES},
    }
    return typed(
        "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"issuer": provider},
        rules=[
            {"match": {"prefix": HEALTH_PREFIX}},
            *({"match": {"path": path}} for path in inference.OPEN_PATHS),
            {"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}},
        ],
    )


def identity(settings: FrontDoorSettings) -> Json:
    """Return the filter that judges verified tokens by the rest of the rules, and sets the identity headers."""
    return typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": identity_script(settings)})


def identity_script(settings: FrontDoorSettings) -> str:
    """Return the whole Lua script: its parameters, then code."""
    constants = {
        "OPEN": dict.fromkeys(inference.OPEN_PATHS, ""),
        "AUDIENCE": settings.audience,
        "SKEW_S": settings.token_clock_skew_s,
        "MOST_TOKEN_BYTES": MAX_TOKEN_BYTES,
    }
    generated = "\n".join(f"local {name} = {lua_value(value)}" for name, value in constants.items())
    return "\n\n".join((generated, *(script.read_text() for script in _IDENTITY_SCRIPTS)))


def denied_clients(subjects: Iterable[str]) -> Json:
    """Return the filter that refuses the tokens of these subjects."""
    principals = [_claim("sub", {"string_match": exact(subject)}) for subject in sorted(set(subjects))]
    if not principals:
        return typed(_RBAC)
    policy = {"permissions": [{"any": True}], "principals": principals}
    return typed(_RBAC, rules={"action": "DENY", "policies": {DENIED_POLICY: policy}}, rules_stat_prefix="denied_")


def client_limit(settings: FrontDoorSettings) -> Json:
    """Return the filter that gives every client its own bucket."""
    per_second = settings.share(settings.client_requests_per_second)
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    never = {"default_value": {"numerator": 0, "denominator": "HUNDRED"}}
    return typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="client_limit",
        filter_enabled=always,
        # What would be refused is counted either way: `rate_limited` beside `enforced`.
        filter_enforced=always if settings.client_limit_enforced else never,
        rate_limited_as_resource_exhausted=True,
        token_bucket=_bucket(_ANONYMOUS_PER_SECOND),
        always_consume_default_token_bucket=False,
        rate_limits=[{"actions": [{"request_headers": {"header_name": CLIENT_HEADER, "descriptor_key": "client"}}]}],
        # An entry without a value stands for every value, each with a bucket of its own.
        descriptors=[{"entries": [{"key": "client"}], "token_bucket": _bucket(per_second)}],
        max_dynamic_descriptors=_MOST_CLIENTS,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
    )


def scope_table(api: Api) -> dict[str, tuple[str, ...]]:
    """Return the gRPC paths that each scope opens: every public RPC once, no internal one."""
    table: dict[str, tuple[str, ...]] = {}
    for method in api.public:
        table[method.scope] = (*table.get(method.scope, ()), method.path)
    return table


def scopes(api: Api) -> Json:
    """Return the filter that lets a call through when its token has the scope of the method.

    It stands behind the transcoder, so REST calls are judged by the gRPC method that they became.
    """
    policies = {
        f"scope-{scope}": {"permissions": [_path(exact(path)) for path in paths], "principals": [has_scope(scope)]}
        for scope, paths in scope_table(api).items()
    }
    policies["rest-predict"] = {"permissions": _rest_predictions(), "principals": [has_scope(PREDICT_SCOPE)]}
    policies |= _inference()
    policies["health"] = {"permissions": [_path({"prefix": HEALTH_PREFIX})], "principals": [{"any": True}]}
    policies["reflection"] = {
        "permissions": [_path({"prefix": f"/{service}/"}) for service in REFLECTION_SERVICES],
        "principals": [_claim("sub", {"present_match": True})],
    }
    return typed(_RBAC, rules={"action": "ALLOW", "policies": policies}, rules_stat_prefix="scopes_")


def has_scope(scope: str) -> Json:
    """Return the principal whose token has a scope, in any of the claims that scopes stand in."""
    value = {"list_match": {"one_of": {"string_match": exact(scope)}}}
    return {"or_ids": {"ids": [_claim(claim, value) for claim in SCOPE_CLAIMS]}}


def _inference() -> dict[str, Json]:
    """Return the policies of the Open Inference Protocol, whose REST paths are judged as they were sent."""
    infer = _path({"safe_regex": {"regex": inference.REST_INFER_REGEX}})
    below = [_path(exact(inference.REST_ROOT)), _path({"prefix": f"{inference.REST_ROOT}/"})]
    reads = {"and_rules": {"rules": [{"or_rules": {"rules": below}}, {"not_rule": infer}]}}
    asked, predicted = (
        _regexes(inference.KSERVE_LIVE_REGEX, inference.KSERVE_READY_REGEX),
        inference.KSERVE_PREDICT_REGEX,
    )
    return {
        "inference-predict": {
            "permissions": [*_paths(map(inference.path, inference.PREDICT_METHODS)), infer, *_regexes(predicted)],
            "principals": [has_scope(PREDICT_SCOPE)],
        },
        "inference-read": {
            "permissions": [*_paths(map(inference.path, inference.READ_METHODS)), reads, *asked],
            "principals": [has_scope(scope) for scope in inference.READ_SCOPES],
        },
        "inference-health": {"permissions": _paths(inference.OPEN_PATHS), "principals": [{"any": True}]},
    }


def _paths(paths: Iterable[str]) -> list[Json]:
    return [_path(exact(path)) for path in paths]


def _regexes(*regexes: str) -> list[Json]:
    return [_path({"safe_regex": {"regex": regex}}) for regex in regexes]


def _rest_predictions() -> list[Json]:
    regexes = _regexes(PREDICT_PATH_REGEX, PREDICT_STREAM_REGEX)
    post = {"header": header_is(":method", exact="POST")}
    return [{"and_rules": {"rules": [path, post]}} for path in (_path(exact(PREDICT_PATH)), *regexes)]


def _path(match: Json) -> Json:
    return {"url_path": {"path": match}}


def _claim(name: str, value: Json) -> Json:
    path = [{"key": "claims"}, {"key": name}]
    return {"sourced_metadata": {"metadata_matcher": {"filter": JWT, "path": path, "value": value}}}


def _bucket(per_second: int) -> Json:
    return {"max_tokens": per_second, "tokens_per_fill": per_second, "fill_interval": "1s"}
