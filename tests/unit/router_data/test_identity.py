"""Tokens and callers: who is believed, what is said about the others, and what it costs to be asked again."""

import json
import time
from typing import Any

import pytest
from headrace_client.issuer import AUDIENCE, ISSUER
from headrace_router.data.identity import callers as callers_module
from headrace_router.data.identity.callers import FAILED_S, IN_ALL, PER_CLIENT, PER_CONNECTION, Callers
from headrace_router.data.identity.tokens import Rules, bearer, claimed_client, keys_of, verify
from headrace_servicekit.errors import PermissionDenied, ResourceExhausted, ServiceError, Unauthenticated
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.identity import provider
from tests.kit.identity.bad_tokens import BAD_TOKENS, MakeToken
from tests.kit.identity.issuer import Issuer
from tests.kit.identity.provider import IdentityProvider
from tests.kit.identity.token_rows import NO_SCOPE, ROWS, Row
from tests.kit.identity.token_variants import claims, signed
from tests.kit.rows import each

ISSUED_BY = Issuer()
RULES = Rules(ISSUER, AUDIENCE)
KEYS = keys_of(json.dumps({"keys": [ISSUED_BY.jwk]}))
# The data plane bounds what it remembers; the front door bounds headers instead.
TOO_LONG = pytest.param(lambda i: i.token(pad="x" * 5000), "TOKEN_INVALID", id="too long")


class Clock:
    """A moment that the test moves."""

    def __init__(self) -> None:
        self.at = time.time()

    def __call__(self) -> float:
        return self.at


def header(token: str) -> bytes:
    return f"Bearer {token}".encode()


def callers(
    clock: Clock, *, requests_per_second: float = 1000.0, denied: frozenset[str] = frozenset(), **how
) -> Callers:
    made = Callers(RULES, requests_per_second=requests_per_second, wall=clock, now=clock, **how)
    made.believe(KEYS, denied)
    return made


@each("make,reason", [*BAD_TOKENS, TOO_LONG])
def test_a_bad_token_is_refused_with_the_reason_of_the_front_door(make: MakeToken, reason: str):
    with pytest.raises(Unauthenticated) as caught:
        verify(bearer(header(make(ISSUED_BY))), KEYS, RULES, time.time())
    assert caught.value.reason == reason


@each("row", ROWS)
def test_a_token_is_judged_by_the_table(row: Row):
    authorization = row.authorization(ISSUED_BY).encode()
    if row.refused in (None, NO_SCOPE):
        token = verify(bearer(authorization), KEYS, RULES, time.time())
        assert ("predict" in token.scopes) == (row.refused is None)
        return
    with pytest.raises(Unauthenticated) as caught:
        verify(bearer(authorization), KEYS, RULES, time.time())
    assert caught.value.reason == row.refused


def test_without_a_key_id_every_key_is_tried():
    keys = keys_of(json.dumps({"keys": [Issuer().jwk, ISSUED_BY.jwk]}))
    token = signed(ISSUED_BY, claims(), {"alg": "ES256"})
    assert verify(token.encode(), keys, RULES, time.time()).identity.client == "rows"


@pytest.mark.parametrize("given", [None, b"", b"Basic abc", b"BEARER abc", b"Bearer"])
def test_without_a_bearer_token_the_caller_is_told_what_to_send(given: bytes | None):
    with pytest.raises(Unauthenticated) as caught:
        bearer(given)
    assert caught.value.reason == "TOKEN_MISSING"
    assert "authorization" in caught.value.public_message


@given(st.binary(max_size=300))
def test_no_bytes_at_all_do_anything_but_be_refused(token: bytes):
    with pytest.raises(Unauthenticated):
        verify(token, KEYS, RULES, 1.0)


@pytest.mark.parametrize(
    ("models", "seen", "unseen"),
    [(None, "any", ""), (["*"], "any", ""), (["a", "b-*"], "b-1", "c"), ([], "", "any")],
)
def test_the_models_of_a_token_are_what_its_caller_sees(models: list[str] | None, seen: str, unseen: str):
    token = verify(ISSUED_BY.token(models=models).encode(), KEYS, RULES, time.time())
    assert not seen or token.identity.sees(seen)
    assert not unseen or not token.identity.sees(unseen)


@pytest.mark.parametrize("scopes", ["predict,registry.read", {"predict": True}, None, [["predict"]]])
def test_scopes_that_are_no_names_give_no_scope(scopes: object):
    assert verify(ISSUED_BY.token(scopes=scopes).encode(), KEYS, RULES, time.time()).scopes.isdisjoint(
        ["predict", "registry.read"]
    )


def test_a_token_is_verified_once_however_often_it_comes():
    clock = Clock()
    known, authorization = callers(clock), header(ISSUED_BY.token(sub="ann"))
    assert {known.identify(authorization, "predict").client for _ in range(100)} == {"ann"}
    assert known.verified == 1


def test_a_token_that_expires_is_refused_although_it_was_believed_before():
    clock = Clock()
    known, authorization = callers(clock), header(ISSUED_BY.token(lifetime_s=60))
    known.identify(authorization, "predict")
    clock.at += 60 + RULES.skew_s + 1
    with pytest.raises(Unauthenticated) as caught:
        known.identify(authorization, "predict")
    assert caught.value.reason == "TOKEN_EXPIRED"


def test_a_header_that_failed_is_not_verified_again_for_a_moment():
    clock = Clock()
    known, authorization = callers(clock), header(ISSUED_BY.token(aud="billing"))
    for _ in range(100):
        with pytest.raises(Unauthenticated):
            known.identify(authorization, "predict")
    assert known.verified == 1
    clock.at += FAILED_S
    with pytest.raises(Unauthenticated):
        known.identify(authorization, "predict")
    assert known.verified == 2


def test_the_scope_is_looked_at_in_each_request():
    known, authorization = callers(Clock()), header(ISSUED_BY.token(scopes=["registry.read"]))
    known.identify(authorization, "registry.read")
    with pytest.raises(PermissionDenied) as caught:
        known.identify(authorization, "predict")
    assert (caught.value.reason, caught.value.metadata) == ("SCOPE_MISSING", {"scope": "predict"})


def test_a_client_that_is_denied_is_refused_with_tokens_that_were_believed():
    clock = Clock()
    known, authorization = callers(clock), header(ISSUED_BY.token(sub="mallory"))
    known.identify(authorization, "predict")
    known.believe(KEYS, frozenset({"mallory"}))
    with pytest.raises(PermissionDenied) as caught:
        known.identify(authorization, "predict")
    assert caught.value.reason == "CLIENT_DENIED"


def test_keys_that_are_withdrawn_believe_nobody_any_more():
    known, authorization = callers(Clock()), header(ISSUED_BY.token())
    known.identify(authorization, "predict")
    known.believe(keys_of(json.dumps({"keys": [Issuer().jwk]})), frozenset())
    with pytest.raises(Unauthenticated):
        known.identify(authorization, "predict")


def test_a_limit_that_is_only_tried_counts_and_refuses_nobody():
    known, authorization = callers(Clock(), requests_per_second=10, enforced=False), header(ISSUED_BY.token())
    for _ in range(25):
        known.identify(authorization, "predict")
    assert known.over_limit == 15


def test_all_tokens_of_a_client_share_its_bucket_which_fills_again():
    clock = Clock()
    known = callers(clock, requests_per_second=10)
    one, other = header(ISSUED_BY.token(sub="ann")), header(ISSUED_BY.token(sub="ann", jti="2"))
    stranger = header(ISSUED_BY.token(sub="bob"))
    for authorization in (one, other) * 5:
        known.identify(authorization, "predict")
    with pytest.raises(ResourceExhausted) as caught:
        known.identify(one, "predict")
    assert caught.value.reason == "RATE_LIMITED"
    assert caught.value.retry_after_s == 1.0
    known.identify(stranger, "predict")
    clock.at += 0.2
    known.identify(other, "predict")


def test_a_gateway_may_bring_the_tokens_of_many_clients_on_one_connection():
    known = callers(Clock())
    for number in range(int(PER_CONNECTION) * 3):
        known.identify(header(ISSUED_BY.token(sub=f"client-{number}")), "predict", lambda: "gateway")
    assert known.verified == PER_CONNECTION * 3


def test_a_connection_that_brings_ever_new_bad_tokens_is_held_back_and_others_are_not():
    known = callers(Clock())
    refused = 0
    for number in range(int(PER_CONNECTION) * 2):
        try:
            known.identify(header(f"{number}.b.c"), "predict", lambda: "noisy")
        except ResourceExhausted:
            refused += 1
        except ServiceError:
            pass
    assert refused == PER_CONNECTION
    known.identify(header(ISSUED_BY.token()), "predict", lambda: "quiet")


def flood(known: Callers, connection: str, count: int, **claims: Any) -> list[str]:
    """Bring so many new bad tokens on a connection; return the reasons."""
    reasons, key = [], Issuer().key
    for number in range(count):
        token = ISSUED_BY.token(key=key, jti=str(number), **claims)
        with pytest.raises(ServiceError) as caught:
            known.identify(header(token), "predict", lambda: connection)
        reasons.append(caught.value.reason)
    return reasons


def test_a_known_clients_next_token_is_believed_on_a_connection_that_is_held_back():
    known = callers(Clock())
    known.identify(header(ISSUED_BY.token(sub="ann")), "predict", lambda: "gateway")
    assert flood(known, "gateway", 100).count("TOO_MANY_TOKENS") == 100 - PER_CONNECTION
    # Whom nobody has seen yet could be anybody.
    with pytest.raises(ResourceExhausted):
        known.identify(header(ISSUED_BY.token(sub="new")), "predict", lambda: "gateway")
    for number in range(50):
        renewed = header(ISSUED_BY.token(sub="ann", jti=str(number)))
        assert known.identify(renewed, "predict", lambda: "gateway").client == "ann"


def test_whoever_names_a_known_client_is_held_back_too_and_other_clients_are_not():
    known = callers(Clock())
    for client in ("ann", "bob"):
        known.identify(header(ISSUED_BY.token(sub=client)), "predict", lambda: "gateway")
    refused = flood(known, "gateway", 200, sub="ann")
    assert refused.count("TOKEN_INVALID") == PER_CONNECTION + PER_CLIENT
    renewed = header(ISSUED_BY.token(sub="bob", jti="2"))
    assert known.identify(renewed, "predict", lambda: "gateway").client == "bob"


def test_a_flood_over_many_connections_leaves_a_budget_to_known_clients():
    known = callers(Clock())
    known.identify(header(ISSUED_BY.token(sub="ann")), "predict", lambda: "quiet")
    reasons = [reason for number in range(60) for reason in flood(known, f"noisy {number}", 20)]
    assert reasons.count("TOKEN_INVALID") == IN_ALL
    assert known.identify(header(ISSUED_BY.token(sub="ann", jti="2")), "predict", lambda: "quiet").client == "ann"


@each(
    "token", [b"", b"a", b"a.b", b"a.!.c", b"a.bnVsbA.c", b"a.e30.c", b"a.eyJzdWIiOjd9.c", b"a." + b"W" * 3000 + b".c"]
)
def test_what_names_no_client_claims_none(token: bytes):
    assert claimed_client(token) is None


def test_floods_of_tokens_good_and_bad_fill_no_memory_beyond_its_bound(monkeypatch: pytest.MonkeyPatch):
    for bound in ("MAX_TOKENS", "MAX_FAILURES", "MAX_CONNECTIONS", "MAX_CLIENTS"):
        monkeypatch.setattr(callers_module, bound, 50)
    clock = Clock()
    known = callers(clock)
    for number in range(200):
        clock.at += 0.1
        known.identify(header(ISSUED_BY.token(sub=f"client-{number}")), "predict", lambda: "gateway")
        with pytest.raises(Unauthenticated):
            known.identify(header(f"{number}.b.c"), "predict", lambda: object())
    assert known.remembered() == {"tokens": 50, "failures": 50, "clients": 50, "connections": 50}
    # Who was forgotten is met anew, and believed.
    known.identify(header(ISSUED_BY.token(sub="client-0")), "predict")


@pytest.mark.parametrize(
    "text", ["{}", '{"keys": []}', '{"keys": [{}]}', "[]", "nonsense", '{"keys": [{"kty": "EC"}]}']
)
def test_keys_that_cannot_be_read_are_an_error(text: str):
    with pytest.raises(ValueError, match="JWKS"):
        keys_of(text)


PROVIDER = IdentityProvider()
ITS_RULES = Rules(provider.ISSUER, provider.AUDIENCE)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_provider_signs_with_either_algorithm_and_lists_keys_for_other_purposes(algorithm: str):
    keys = keys_of(json.dumps({"keys": PROVIDER.keys}))
    token = PROVIDER.token("ada", ["predict"], algorithm=algorithm)
    assert verify(token.encode(), keys, ITS_RULES, time.time()).identity.client == "ada"


def test_the_key_says_what_a_token_was_signed_with():
    elsewhere = Rules(provider.ISSUER, provider.AUDIENCE)
    _, rsa, ec = PROVIDER.keys
    token = PROVIDER.token("ada", ["predict"], algorithm="ES256").encode()
    # The same key ids, the other way round.
    swapped = keys_of(json.dumps({"keys": [{**rsa, "kid": ec["kid"]}, {**ec, "kid": rsa["kid"]}]}))
    with pytest.raises(Unauthenticated):
        verify(token, swapped, elsewhere, time.time())


@pytest.mark.parametrize("other", [{"use": "enc"}, {"alg": "RS512"}, {"kty": "oct"}, {"kty": "EC", "crv": "P-384"}])
def test_keys_that_verify_nothing_we_take_are_no_keys(other: dict[str, str]):
    rsa = PROVIDER.keys[1]
    with pytest.raises(ValueError, match="no key in the JWKS"):
        keys_of(json.dumps({"keys": [{**rsa, **other}]}))
