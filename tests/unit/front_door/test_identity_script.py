"""The script that says who calls: it judges as the data plane does, and what it does not identify goes no further."""

import json
import time
from typing import Any

import pytest
from front_door import access
from front_door.settings import FrontDoorSettings
from headrace_client.issuer import AUDIENCE, ISSUER
from headrace_router.data.identity.tokens import Rules, bearer, keys_of, verify
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.identity import parse_identity
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.front_door.lua_filter import LuaFilter, Outcome
from tests.kit.identity.issuer import Issuer
from tests.kit.identity.token_claims import JSON, claimed
from tests.kit.identity.token_rows import ROWS, Row
from tests.kit.identity.token_variants import claims, signed
from tests.kit.rows import each

ISSUED_BY = Issuer()
KEYS = keys_of(json.dumps({"keys": [ISSUED_BY.jwk]}))
RPC, HEALTH = "/headrace.registry.v1.RegistryService/GetModel", "/grpc.health.v1.Health/Check"
# The token check has compared the times with the clock before: here any moment will do.
RULES = Rules(ISSUER, AUDIENCE, skew_s=2.0**54)


@pytest.fixture(scope="module")
def script(settings: FrontDoorSettings) -> LuaFilter:
    return LuaFilter(access.identity_script(settings))


def ask(script: LuaFilter, authorization: str | None, told: Any, path: str = RPC, fails: str | None = None) -> Outcome:
    headers = {":path": path, "x-request-id": "r-1"}
    return script.serve(
        headers if authorization is None else {**headers, "authorization": authorization}, told, fails=fails
    )


def forwarded_to_somebody(outcome: Outcome) -> bool:
    """Return whether the request goes on with an identity; fails if it goes on with a part of one."""
    client, models = outcome.identity
    assert bool(client) == bool(models) == (not outcome.answer)
    return not outcome.answer


@settings(max_examples=150, deadline=None)
@given(claimed())
def test_whatever_a_token_claims_the_script_says_what_the_verifier_says(script: LuaFilter, payload: str):
    authorization = f"Bearer {signed(ISSUED_BY, payload)}"
    try:
        verified = verify(bearer(authorization.encode()), KEYS, RULES, time.time())
    except ServiceError:
        verified = None
    outcome = ask(script, authorization, json.loads(payload))
    assert forwarded_to_somebody(outcome) == (verified is not None)
    if verified is not None:
        assert parse_identity(*outcome.identity) == verified.identity


@settings(max_examples=150, deadline=None)
@given(JSON, st.text(max_size=40) | st.none())
def test_nothing_goes_on_without_an_identity_whatever_the_token_check_lets_through(
    script: LuaFilter, told: Any, authorization: str | None
):
    for given_ in (authorization, f"Bearer {authorization}"):
        assert not forwarded_to_somebody(ask(script, given_, told))


@pytest.mark.parametrize("fails", [":path", "authorization", "traceparent", "x-request-id", "grpc-timeout"])
def test_a_defect_of_the_script_ends_the_request(script: LuaFilter, fails: str):
    authorization = f"Bearer {signed(ISSUED_BY, claims())}"
    told = None if fails == ":path" else claims()
    assert ask(script, authorization, told, fails=fails).answer == "401"


def test_a_token_of_another_client_than_the_one_that_was_verified_is_refused(script: LuaFilter):
    authorization = f"Bearer {signed(ISSUED_BY, claims(sub='root'))}"
    assert ask(script, authorization, claims(sub="ann")).answer == "401"
    assert ask(script, authorization, claims(sub="root")).identity == ("root", "*")


def test_health_goes_on_without_a_token_and_without_an_identity(script: LuaFilter):
    outcome = ask(script, None, None, HEALTH)
    assert (outcome.answer, outcome.identity) == ("", (None, None))
    assert ask(script, None, None).answer == "407"


@each("row", [row for row in ROWS if row.refused is None])
def test_what_the_table_believes_the_script_believes_again_and_again(script: LuaFilter, row: Row):
    authorization = row.authorization(ISSUED_BY)
    verified = verify(bearer(authorization.encode()), KEYS, RULES, time.time())
    for _ in range(2):  # the second time from memory
        outcome = ask(script, authorization, {"sub": verified.identity.client})
        assert parse_identity(*outcome.identity) == verified.identity


def test_more_tokens_than_are_remembered_are_judged_all_the_same(script: LuaFilter):
    for number in range(1100):
        authorization = f"Bearer {signed(ISSUED_BY, claims(sub=f'client-{number}'))}"
        assert ask(script, authorization, {"sub": f"client-{number}"}).identity[0] == f"client-{number}"
