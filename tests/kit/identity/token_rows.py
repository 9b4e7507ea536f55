"""The rules for tokens as rows, docs/tokens.md in examples: what a caller sends, and what each protocol must say of it.

@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_face_judges_by_the_table(row: Row):
    assert reason_of(row.authorization(issuer)) == row.refused
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from headrace_client.issuer import AUDIENCE, ISSUER

from tests.kit.identity.issuer import Issuer
from tests.kit.identity.provider_claims import PROVIDERS
from tests.kit.identity.token_variants import (
    Row,
    appended,
    claims,
    of_claims,
    of_header,
    of_size,
    of_text,
    of_value,
    padded,
    replaced,
    signed,
    with_unused_bits,
)

MISSING, INVALID, EXPIRED = "TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"
ELSEWHERE, NO_SCOPE = "TOKEN_AUDIENCE_REFUSED", "SCOPE_MISSING"


def _rows() -> Iterator[Row]:
    yield from _values()
    yield from _headers()
    yield from _documents()
    yield from _times()
    yield from _audiences()
    yield from _issuers_and_subjects()
    yield from _models()
    yield from _scopes()


def _values() -> Iterator[Row]:
    yield of_value("a good token", None, lambda token: f"Bearer {token}")
    yield of_value("scheme in lower case", None, lambda token: f"bearer {token}")
    yield of_value("scheme in upper case", MISSING, lambda token: f"BEARER {token}")
    yield of_value("another scheme", MISSING, lambda token: f"Basic {token}")
    yield of_value("no scheme", MISSING, lambda token: token)
    yield of_value("another scheme before ours", MISSING, lambda token: f"Basic Bearer {token}")
    yield of_value("scheme alone", MISSING, lambda token: "Bearer")
    yield of_value("a space before the scheme", None, lambda token: f" Bearer {token}")
    yield of_value("a space behind the token", None, lambda token: f"Bearer {token} ")
    yield of_value("two spaces", INVALID, lambda token: f"Bearer  {token}")
    yield of_value("something behind", INVALID, lambda token: f"Bearer {token}, more")
    yield of_value("a parameter behind", INVALID, lambda token: f"Bearer {token};q=1")
    yield of_value("a space within", INVALID, lambda token: f"Bearer {token[:50]} {token[50:]}")
    yield of_value("quoted", INVALID, lambda token: f'Bearer "{token}"')
    yield of_value("two tokens", INVALID, lambda token: f"Bearer {token} Bearer {token}")
    yield of_value("two tokens with a comma", INVALID, lambda token: f"Bearer {token},Bearer {token}")
    yield of_value("no token", INVALID, lambda token: "Bearer nonsense")
    yield of_value("two parts", INVALID, lambda token: f"Bearer {token.rpartition('.')[0]}")
    yield of_value("four parts", INVALID, lambda token: f"Bearer {token}.x")
    yield of_value("no signature", INVALID, lambda token: f"Bearer {token.rpartition('.')[0]}.")
    yield of_value("signature cut", INVALID, lambda token: f"Bearer {token[:-4]}")
    yield of_value("signature with padding", INVALID, lambda token: padded(token, 2, "=="))
    yield of_value("payload with padding", INVALID, lambda token: padded(token, 1, "="))
    yield of_value("signature with a newline's letters", INVALID, lambda token: padded(token, 2, "%0A"))
    yield of_value("signature with unused bits", INVALID, with_unused_bits)
    yield of_value("signature longer", INVALID, lambda token: padded(token, 2, "AAAA"))
    yield Row("another's key", INVALID, lambda _: f"Bearer {signed(Issuer(), claims())}")
    yield Row("4096 bytes", None, of_size(4093))
    for size in (4100, 5_000, 8_000, 12_000, 20_000):
        yield Row(f"{size} bytes", INVALID, of_size(size))


def _headers() -> Iterator[Row]:
    yield of_header("alg none", INVALID, alg="none")
    yield of_header("alg HS256", INVALID, alg="HS256")
    yield of_header("alg ES384", INVALID, alg="ES384")
    yield of_header("alg RS256 with a key of ES256", INVALID, alg="RS256")
    yield of_header("alg in lower case", INVALID, alg="es256")
    yield of_header("no alg", INVALID, alg=...)
    yield of_header("alg is a number", INVALID, alg=256)
    yield of_header("no kid", None, kid=...)
    yield of_header("unknown kid", INVALID, kid="unknown")
    yield of_header("empty kid", INVALID, kid="")
    yield of_header("kid is a number", INVALID, kid=7)
    yield of_header("kid is null", INVALID, kid=None)
    yield of_header("no typ", None, typ=...)
    yield of_header("another typ", None, typ="at+jwt")
    yield of_header("typ is a number", None, typ=1)
    yield of_header("crit", INVALID, crit=["exp"])
    yield of_header("crit of what nobody knows", INVALID, crit=["x"], x=1)
    yield of_header("empty crit", INVALID, crit=[])
    yield of_header("crit null", INVALID, crit=None)
    yield of_header("b64 false", INVALID, b64=False, crit=["b64"])
    yield of_header("jwk of one's own", None, jwk={"kty": "EC"})
    for name, text in (
        ("header is a list", "[]"), ("header is no JSON", "{"), ("header is empty", ""), ("header is null", "null"),
        ("alg twice", '{"alg": "none", "alg": "ES256"}'), ("kid twice", '{"alg": "ES256", "kid": "a", "kid": "b"}'),
        ("header with text behind", '{"alg": "ES256"} x'),
        ("header with a name twice within", '{"alg": "ES256", "x": {"a": 1, "a": 1}}'),
    ):  # fmt: skip
        yield Row(name, INVALID, lambda issuer, text=text: f"Bearer {signed(issuer, claims(), text)}")


def _documents() -> Iterator[Row]:
    for name, text in (("payload is a list", "[]"), ("payload is empty", ""), ("payload is null", "null"),
                       ("payload is a text", '"x"'), ("payload is no JSON", "{sub: 1}"),
                       ("payload says nothing", "{}")):  # fmt: skip
        yield of_text(name, INVALID, lambda _, text=text: text)
    yield of_text("payload with text behind", INVALID, lambda text: f"{text} x")
    yield of_text("payload with a comma at the end", INVALID, lambda text: f"{text[:-1]},}}")
    yield of_text("payload with spaces around", None, lambda text: f" \n\t{text}\r\n ")
    yield of_text("payload with a byte order mark", INVALID, lambda text: f"\ufeff{text}")
    yield of_text("payload in UTF-16", INVALID, lambda text: text.encode("utf-16"))
    yield of_text("payload with a comment", INVALID, lambda text: f"{text[:-1]} /* x */}}")
    yield of_text("payload with single quotes", INVALID, lambda text: text.replace('"', "'"))
    yield of_text("a claim in UTF-8", None, appended("name", '"Zoë 王 😀"'))
    yield of_text(
        "a claim that is no UTF-8",
        INVALID,
        lambda text: appended("name", '"x"')(text).encode().replace(b'"x"', b'"\xff"'),
    )
    yield of_text("a claim in escapes", None, appended("name", r'"\u0041\ud83d\ude00\n"'))
    yield of_text("a claim with half a surrogate", INVALID, appended("name", r'"\ud83d"'))
    yield of_text("a claim with a bare newline", INVALID, appended("name", '"a\nb"'))
    yield of_text("a claim with a NUL escaped", None, appended("name", r'"\u0000"'))
    yield of_text("a claim with an unknown escape", INVALID, appended("name", r'"\x41"'))
    yield of_text("a claim that is NaN", INVALID, appended("x", "NaN"))
    yield of_text("a claim that is Infinity", INVALID, appended("x", "Infinity"))
    yield of_text("a claim with a leading zero", INVALID, appended("x", "01"))
    yield of_text("a claim with a plus", INVALID, appended("x", "+1"))
    yield of_text("a claim with a point alone", INVALID, appended("x", "1."))
    yield of_text("a claim beyond any double", INVALID, appended("x", "1e400"))
    yield of_text("a claim with an integer of 30 digits", None, appended("x", "9" * 30))
    yield of_text("a claim that is null", None, appended("x", "null"))
    yield of_text("a claim of objects", None, appended("x", '{"a": {"b": [1, true, null]}}'))
    yield of_text("an empty name", None, appended("", "1"))
    yield of_text("nested 20 deep", None, appended("x", "[" * 20 + "]" * 20))
    # The payload itself is the first.
    yield of_text("nested 32 deep", None, appended("x", "[" * 32 + "]" * 32))
    yield of_text("nested 33 deep", INVALID, appended("x", "[" * 33 + "]" * 33))
    yield of_text("nested 200 deep", INVALID, appended("x", "[" * 200 + "]" * 200))
    yield of_text("nested 1400 deep", INVALID, appended("x", "[" * 1400 + "]" * 1400))
    for name in ("iss", "aud", "sub", "exp", "scopes"):
        yield of_text(
            f"{name} twice, alike",
            INVALID,
            lambda text, name=name: appended(name, json.dumps(json.loads(text)[name]))(text),
        )
    yield of_text("sub twice, in escapes", INVALID, lambda text: f'{text[:-1]}, "s\\u0075b": "root"}}')
    yield of_text("models twice", INVALID, lambda text: appended("models", '["*"]')(appended("models", '["a"]')(text)))
    yield of_text("an unknown claim twice", INVALID, lambda text: appended("x", "1")(appended("x", "2")(text)))
    yield of_text("a name twice within a claim", INVALID, appended("x", '{"a": 1, "a": 2}'))


def _times() -> Iterator[Row]:
    now = time.time
    yield of_claims("no exp", INVALID, exp=...)
    for name, text in (
        ("null", "null"), ("a text", '"9999999999"'), ("true", "true"), ("a list", "[9999999999]"),
        ("an object", "{}"),
        ("negative", "-1"), ("beyond the lifetime by years", "9999999999"), ("2^31", "2147483648"),
        ("2^53", "9007199254740992"), ("2^63-1", "9223372036854775807"), ("2^63", "9223372036854775808"),
        ("2^64", "18446744073709551616"), ("1e19", "1e19"), ("1e300", "1e300"), ("1e400", "1e400"),
        ("-1e19", "-1e19"),
    ):  # fmt: skip
        yield of_text(f"exp is {name}", INVALID, replaced("exp", text))
    yield of_text("exp is 0", INVALID, replaced("exp", "0"))
    yield of_text("exp is 1", EXPIRED, replaced("exp", "1"))
    for name, refused, away in (
        ("an hour ago", EXPIRED, -3600), ("a minute ago", EXPIRED, -60), ("a moment ago", None, -4),
        ("in 10 s", None, 10), ("in 890 s", None, 890), ("in 904 s", None, 904), ("in 940 s", INVALID, 940),
        ("in an hour", INVALID, 3600),
    ):  # fmt: skip
        yield Row(f"exp {name}", refused, lambda i, away=away: f"Bearer {signed(i, claims(exp=int(now()) + away))}")
    yield Row("exp with a fraction", None, lambda i: f"Bearer {signed(i, claims(exp=int(now()) + 60.5))}")
    yield Row(
        "exp in powers of ten",
        None,
        lambda i: f"Bearer {signed(i, replaced('exp', f'{int(now()) + 100}e0')(json.dumps(claims())))}",
    )
    for name in ("nbf", "iat"):
        for kind, text in (("null", "null"), ("a text", '"1"'), ("true", "true"), ("a list", "[1]"),
        ("negative", "-1"),
                           ("2^63", "9223372036854775808"), ("1e19", "1e19"), ("1e300", "1e300")):  # fmt: skip
            yield of_text(f"{name} is {kind}", INVALID, replaced(name, text))
        yield of_text(f"{name} is 0", None, replaced(name, "0"))
        yield of_claims(f"no {name}", None, **{name: ...})
        yield Row(
            f"{name} a moment ahead", None, lambda i, name=name: f"Bearer {signed(i, claims(**{name: int(now()) + 4}))}"
        )
    yield Row("nbf in a minute", INVALID, lambda i: f"Bearer {signed(i, claims(nbf=int(now()) + 60))}")
    yield Row("iat in a minute", None, lambda i: f"Bearer {signed(i, claims(iat=int(now()) + 60))}")
    yield of_claims("jti is a text", None, jti="1")
    yield of_claims("jti is a number", INVALID, jti=1)
    yield of_claims("jti is null", INVALID, jti=None)


def _audiences() -> Iterator[Row]:
    for name, refused, value in (
        ("another", ELSEWHERE, "billing"), ("empty", ELSEWHERE, ""), ("in upper case", ELSEWHERE, AUDIENCE.upper()),
        ("ours with http://", ELSEWHERE, f"http://{AUDIENCE}"),
        ("ours with https://", ELSEWHERE, f"https://{AUDIENCE}"),
        ("ours with a slash", ELSEWHERE, f"{AUDIENCE}/"), ("ours with all of it", ELSEWHERE, f"https://{AUDIENCE}/"),
        ("ours with a space", ELSEWHERE, f"{AUDIENCE} "),
        ("ours in a text of several", ELSEWHERE, f"{AUDIENCE} billing"),
        ("a list with ours", None, [AUDIENCE]), ("a list with ours at the end", None, ["billing", AUDIENCE]),
        ("a list without ours", ELSEWHERE, ["billing"]), ("an empty list", ELSEWHERE, []),
        ("a list with http://", ELSEWHERE, [f"http://{AUDIENCE}"]),
        ("a list with ours twice", None, [AUDIENCE, AUDIENCE]),
        ("a list with a number", INVALID, [AUDIENCE, 7]), ("a list with null", INVALID, [AUDIENCE, None]),
        ("a list within a list", INVALID, [[AUDIENCE]]), ("a number", INVALID, 7), ("null", INVALID, None),
        ("true", INVALID, True), ("an object", INVALID, {AUDIENCE: AUDIENCE}),
    ):  # fmt: skip
        yield of_claims(f"aud is {name}", refused, aud=value)
    yield of_claims("no aud", ELSEWHERE, aud=...)


def _issuers_and_subjects() -> Iterator[Row]:
    for name, value in (
        ("another", "https://elsewhere.test"), ("with a slash", f"{ISSUER}/"), ("in upper case", ISSUER.upper()),
        ("empty", ""),
        ("null", None), ("a list", [ISSUER]), ("a number", 1), ("absent", ...),
        ("with http://", ISSUER.replace("https", "http")),
    ):  # fmt: skip
        yield of_claims(f"iss is {name}", INVALID, iss=value)
    for name, value in (
        ("absent", ...), ("empty", ""), ("null", None), ("a number", 7), ("a list", ["bob"]), ("true", True),
        ("an object", {}),
        ("of two lines", "bob\r\nx-headrace-models: *"), ("with a NUL", "bob\0"), ("with a tab", "bob\t"),
        ("with DEL", "bob\x7f"),
        ("beyond ASCII", "zoë"), ("257 characters", "x" * 257),
    ):  # fmt: skip
        yield of_claims(f"sub is {name}", INVALID, sub=value)
    for name, value in (
        ("256 characters", "x" * 256),
        ("with spaces", "ada of accounts"),
        ("an address", "ada@example.com"),
        ("'*'", "*"),
        ("'internal'", "internal"),
    ):
        yield of_claims(f"sub is {name}", None, sub=value)
    yield of_text("sub in escapes", None, replaced("sub", r'"\u0061\u0064a"'))


def _models() -> Iterator[Row]:
    for name, value in (
        ("absent", ...), ("empty", []), ("a star", ["*"]), ("names and patterns", ["digits", "churn-*", "*"]),
    ):  # fmt: skip
        yield of_claims(f"models is {name}", None, models=value)
    for name, value in (
        ("null", None), ("a text", "digits"), ("a number", 7), ("true", True), ("an object", {}),
        ("an object of numbers", {"1": "digits"}),
        ("null first", [None, "zz"]), ("null last", ["zz", None]), ("null alone", [None]),
        ("null within", ["a", None, "b"]),
        ("a number in it", ["digits", 7]), ("a list in it", [["digits"]]), ("an empty text in it", [""]),
        ("a comma in it", ["digits,*"]),
        ("a space in it", ["a b"]), ("a slash in it", ["a/b"]), ("a newline at the end", ["digits\n"]),
        ("beyond ASCII", ["zoë"]),
        ("objects", [{}]),
    ):  # fmt: skip
        yield of_claims(f"models is {name}", INVALID, models=value)


def _scopes() -> Iterator[Row]:
    both = ["predict", "registry.read"]
    for name, value in (("of everything", [*both, "other"]), ("with others' types", [7, None, *both]),
    ("twice", both * 2),
                        ("at the end of 300", ["x"] * 300 + both)):  # fmt: skip
        yield of_claims(f"scopes is a list {name}", None, scopes=value)
    for name, value in (
        ("absent", ...), ("null", None), ("an object", dict.fromkeys(both, True)), ("empty", []), ("an empty text", ""),
        ("a text with commas", ",".join(both)), ("a text with tabs", "\t".join(both)),
        ("a list of a text", [" ".join(both)]),
        ("a list in a list", [both]), ("near", ["predict*", "PREDICT", "predict ", "registry", "*"]), ("true", True),
    ):  # fmt: skip
        yield of_claims(f"scopes is {name}", NO_SCOPE, scopes=value)
    for name in ("scopes", "scope", "scp"):
        yield of_claims(f"{name} is a text", None, **{"scopes": ..., name: " ".join(both)})
        yield of_claims(f"{name} is a text with more spaces", None, **{"scopes": ..., name: "  ".join(["", *both, ""])})
        yield of_claims(f"{name} is a list", None, **{"scopes": ..., name: both})
    yield of_claims("scopes in three claims", None, scopes=["other"], scope="predict", scp=["registry.read"])
    yield of_claims("scope holds what scopes lacks", None, scopes=[], scope=" ".join(both))
    yield of_claims("scope is null", None, scope=None, scp={"predict": True})
    for provider, given in PROVIDERS.items():
        yield of_claims(f"a token as {provider} issues it", None, scopes=..., **given)


ROWS = tuple(_rows())
