"""The secret in a cookie, and what the database has of it."""

import pytest
from headrace_console.sessions.cookie_secrets import CookieSecret
from hypothesis import given
from hypothesis import strategies as st


@given(content=st.binary(max_size=5000))
def test_what_was_sealed_is_opened_by_the_same_secret_alone(content: bytes):
    secret, another = CookieSecret.new(), CookieSecret.new()
    sealed = secret.seal(content)
    assert secret.open(sealed) == content
    assert another.open(sealed) is None


@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_what_somebody_changed_in_the_database_is_not_opened(at: int, bit: int):
    secret = CookieSecret.new()
    sealed = bytearray(secret.seal(b"tokens" * 10))
    sealed[at % len(sealed)] ^= 1 << bit
    assert secret.open(bytes(sealed)) is None
    assert secret.open(b"") is None


def test_the_digest_and_the_form_token_tell_nothing_of_the_secret_or_each_other():
    secret = CookieSecret.new()
    assert len({secret.text.encode(), secret.digest, secret.form_token.encode()}) == 3
    assert secret.is_form_token(secret.form_token)
    assert not secret.is_form_token("")
    assert not secret.is_form_token("é")
    assert not CookieSecret.new().is_form_token(secret.form_token)


@pytest.mark.parametrize("cookie", [None, "", "a" * 42, "a" * 44, "a" * 42 + "=", "../" * 14 + "a", "é" * 43])
def test_a_cookie_that_cannot_be_ours_is_none(cookie: str | None):
    assert CookieSecret.of(cookie) is None
