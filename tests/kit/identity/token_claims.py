"""Payloads of tokens as hypothesis makes them up: good claims, of which some are arbitrary JSON, or written oddly."""

from __future__ import annotations

import json
from typing import Any

from headrace_client.issuer import AUDIENCE
from hypothesis import strategies as st

from tests.kit.identity.token_variants import claims

NUMBERS = st.one_of(
    st.integers(-2, 2**64), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([2**53, 2**63 - 1, 1e19])
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(max_size=6),
    st.sampled_from([AUDIENCE, f"http://{AUDIENCE}", "*", "a-*", "predict registry.read", "registry.read"]),
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
# What a list of texts goes wrong by.
LISTS = st.lists(st.one_of(st.none(), st.sampled_from(["zz", "a-*", "", "a,b", AUDIENCE]), NUMBERS), max_size=4)
NAMES = ("aud", "sub", "models", "scopes", "scope", "scp", "exp", "nbf", "iat", "jti", "name")


@st.composite
def claimed(draw: st.DrawFn) -> str:
    """Return the text of a payload."""
    changes = draw(st.dictionaries(st.sampled_from(NAMES), st.one_of(JSON, LISTS), max_size=3))
    whole: dict[str, Any] = {**claims(), **changes}
    text = json.dumps(whole, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        return text
    twice = draw(st.sampled_from([*NAMES, "other"]))
    return f"{text[:-1]}, {json.dumps(twice)}: {json.dumps(draw(LEAVES))}}}"
