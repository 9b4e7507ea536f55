"""Tokens that nobody may believe, each with the reason that whoever brings it is told.

@pytest.mark.parametrize(("make", "reason"), BAD_TOKENS)
def test_a_bad_token_is_refused(make: MakeToken, reason: str):
    assert door.refused(path, make(issuer)).reason == reason
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit.identity.issuer import Issuer

MakeToken = Callable[[Issuer], str]

_BAD_TOKENS: dict[str, tuple[MakeToken, str]] = {
    "expired": (lambda i: i.token(lifetime_s=-60), "TOKEN_EXPIRED"),
    "lives too long": (lambda i: i.token(lifetime_s=3600), "TOKEN_INVALID"),
    "without expiry": (lambda i: i.token(exp=None), "TOKEN_INVALID"),
    "expiry is a text": (lambda i: i.token(exp="tomorrow"), "TOKEN_INVALID"),
    "expiry is true": (lambda i: i.token(exp=True), "TOKEN_INVALID"),
    "not valid yet": (lambda i: i.token(nbf=2**31), "TOKEN_INVALID"),
    "another's key": (lambda i: i.token(key=Issuer().key), "TOKEN_INVALID"),
    "another issuer": (lambda i: i.token(iss="https://elsewhere.test"), "TOKEN_INVALID"),
    "without issuer": (lambda i: i.token(iss=None), "TOKEN_INVALID"),
    "another audience": (lambda i: i.token(aud="billing"), "TOKEN_AUDIENCE_REFUSED"),
    "without audience": (lambda i: i.token(aud=None), "TOKEN_AUDIENCE_REFUSED"),
    "alg none": (lambda i: i.unsigned(), "TOKEN_INVALID"),
    "signature cut": (lambda i: i.token()[:-4], "TOKEN_INVALID"),
    "not a token": (lambda i: "garbage", "TOKEN_INVALID"),
    "random bytes": (lambda i: "a.b.c", "TOKEN_INVALID"),
    "without subject": (lambda i: i.token(sub=None), "TOKEN_INVALID"),
    "empty subject": (lambda i: i.token(sub=""), "TOKEN_INVALID"),
    "subject of two lines": (lambda i: i.token(sub="bob\r\nx-headrace-models: *"), "TOKEN_INVALID"),
    "subject is a number": (lambda i: i.token(sub=7), "TOKEN_INVALID"),
    "models is a text": (lambda i: i.token(models="digits"), "TOKEN_INVALID"),
    "models holds a number": (lambda i: i.token(models=["digits", 7]), "TOKEN_INVALID"),
    "models begins with null": (lambda i: i.token(models=[None, "zz"]), "TOKEN_INVALID"),
    "models smuggles a comma": (lambda i: i.token(models=["digits,*"]), "TOKEN_INVALID"),
}

BAD_TOKENS = [pytest.param(make, reason, id=name) for name, (make, reason) in _BAD_TOKENS.items()]
