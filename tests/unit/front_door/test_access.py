from typing import Any

from front_door import access, inference
from front_door.api import Api
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json

JWKS = '{"keys": []}'


def _permitted_paths(policy: Json) -> set[str]:
    return {permission["url_path"]["path"].get("exact", "") for permission in policy["permissions"]}


def test_every_public_rpc_needs_exactly_the_scope_that_it_declares(api: Api):
    table = access.scope_table(api)
    assert sorted(path for paths in table.values() for path in paths) == sorted(m.path for m in api.public)
    for method in api.public:
        assert [scope for scope, paths in table.items() if method.path in paths] == [method.scope]


def test_the_scope_filter_allows_what_the_table_says_and_nothing_else(api: Api):
    policies = access.scopes(api)["rules"]["policies"]
    assert access.scopes(api)["rules"]["action"] == "ALLOW"
    for scope, paths in access.scope_table(api).items():
        policy = policies[f"scope-{scope}"]
        assert _permitted_paths(policy) == set(paths)
        assert policy["principals"] == [access.has_scope(scope)]
    assert {name for name in policies if not name.startswith("scope-")} == {
        "rest-predict", "inference-predict", "inference-read", "inference-health", "health", "reflection"
    }  # fmt: skip


def test_only_health_is_open_to_everybody(api: Api):
    policies = access.scopes(api)["rules"]["policies"]
    assert [name for name, policy in policies.items() if {"any": True} in policy["principals"]] == [
        "inference-health", "health"
    ]  # fmt: skip
    assert _permitted_paths(policies["inference-health"]) == set(inference.OPEN_PATHS)


def test_only_health_needs_no_token(settings: FrontDoorSettings):
    rules = access.token_check(settings, JWKS)["rules"]
    assert [rule["match"] for rule in rules if "requires" not in rule] == [
        {"prefix": "/grpc.health.v1.Health/"}, *({"path": path} for path in inference.OPEN_PATHS)
    ]  # fmt: skip
    assert rules[-1]["match"] == {"prefix": "/"}


def test_tokens_are_taken_from_the_authorization_header_only_and_go_no_further(settings: FrontDoorSettings):
    provider = access.token_check(settings, JWKS)["providers"]["issuer"]
    assert {place["name"] for place in provider["from_headers"]} == {"authorization"}
    assert "from_params" not in provider
    assert "from_cookies" not in provider
    # To the identity script, that is: test_configuration.py holds every route to removing it.
    assert provider["forward"] is True


def test_tokens_must_expire_soon_and_be_meant_for_us(settings: FrontDoorSettings):
    provider = access.token_check(settings, JWKS)["providers"]["issuer"]
    assert provider["require_expiration"] is True
    assert provider["max_lifetime"] == "910s"
    assert provider["issuer"] == "https://issuer.headrace.local"
    assert provider["audiences"] == ["headrace"]


def test_no_denied_client_means_no_rule():
    assert "rules" not in access.denied_clients([])


def test_denied_clients_are_named_once_and_in_order():
    rules: dict[str, Any] = access.denied_clients(["bob", "alice", "bob"])["rules"]
    principals = rules["policies"][access.DENIED_POLICY]["principals"]
    named = [p["sourced_metadata"]["metadata_matcher"]["value"]["string_match"]["exact"] for p in principals]
    assert rules["action"] == "DENY"
    assert named == ["alice", "bob"]


def test_each_client_has_a_bucket_of_its_own(settings: FrontDoorSettings):
    limit = access.client_limit(settings)
    assert limit["descriptors"][0]["entries"] == [{"key": "client"}]
    assert limit["descriptors"][0]["token_bucket"]["max_tokens"] == settings.client_requests_per_second
    assert limit["filter_enforced"]["default_value"] == {"numerator": 100, "denominator": "HUNDRED"}
    assert limit["rate_limited_as_resource_exhausted"] is True


def test_a_limit_that_is_only_tried_refuses_nobody_and_counts_all_the_same(settings: FrontDoorSettings):
    limit = access.client_limit(settings.model_copy(update={"client_limit_enforced": False}))
    assert limit["filter_enforced"]["default_value"]["numerator"] == 0
    assert limit["filter_enabled"]["default_value"]["numerator"] == 100
