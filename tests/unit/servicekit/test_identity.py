"""Who may know of which model."""

import asyncio
import fnmatch
import time

import pytest
from headrace_servicekit.errors import NotFound
from headrace_servicekit.identity import (
    FRONT_DOOR_HEADER,
    INTERNAL,
    NOBODY,
    Identity,
    act_as,
    caller_of,
    identity,
    model_not_found,
    model_of,
    parse_identity,
    visible,
)
from headrace_servicekit.testing import patience
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


@pytest.mark.parametrize(
    ("client", "models", "expected"),
    [
        pytest.param(None, None, INTERNAL, id="no headers is another service"),
        pytest.param("alice", None, Identity("alice"), id="no patterns is all models"),
        pytest.param("alice", "*", Identity("alice"), id="a star is all models"),
        pytest.param("alice", "fraud, *", Identity("alice"), id="a star among others is all models"),
        pytest.param("alice", "fraud-*, digits", Identity("alice", ("fraud-*", "digits")), id="patterns"),
        pytest.param("alice", "", Identity("alice", ()), id="an empty list is no model"),
        pytest.param(None, "digits", Identity("", ("digits",)), id="patterns without a client still bind"),
    ],
)
def test_headers_become_an_identity(client, models, expected):
    assert parse_identity(client, models) == expected


@each(
    "headers,expected",
    [
        pytest.param({}, INTERNAL, id="not through the front door"),
        pytest.param({"x-headrace-client": "a", "x-headrace-models": "m"}, Identity("a", ("m",)), id="who it says"),
        pytest.param({FRONT_DOOR_HEADER: "1"}, NOBODY, id="through the front door, which said nothing"),
        pytest.param({FRONT_DOOR_HEADER: "1", "x-headrace-client": "a"}, NOBODY, id="not which models"),
        pytest.param({FRONT_DOOR_HEADER: "1", "x-headrace-models": "*"}, NOBODY, id="not who"),
        pytest.param(
            {FRONT_DOOR_HEADER: "1", "x-headrace-client": "", "x-headrace-models": "*"}, NOBODY, id="nobody's name"
        ),
        pytest.param({FRONT_DOOR_HEADER: "", "x-request-id": "r"}, NOBODY, id="an empty mark is a mark"),
        pytest.param(
            {FRONT_DOOR_HEADER: "1", "x-headrace-client": "a", "x-headrace-models": "*"},
            Identity("a"),
            id="who and all",
        ),
    ],
)
def test_what_the_front_door_forwards_is_never_internal(headers, expected):
    assert caller_of(headers) == expected
    assert not NOBODY.sees("any")


@each(
    "patterns,model,sees",
    [
        (("fraud",), "fraud", True),
        (("fraud",), "fraud-v2", False),
        (("fraud-*",), "fraud-v2", True),
        (("fraud-*",), "fraud", False),
        (("*-eu",), "fraud-eu", True),
        (("a*b*c",), "a-b-c", True),
        (("a", "b"), "b", True),
        ((), "a", False),
        (("a.c",), "abc", False),
        (("[ab]",), "a", False),
        (("a?",), "ab", False),
    ],
)
def test_patterns_match_whole_names_and_only_the_star_is_special(patterns, model, sees):
    assert Identity("alice", patterns).sees(model) is sees


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_means_what_the_shell_means_by_its_stars(pattern, name):
    assert Identity("alice", (pattern,)).sees(name) is fnmatch.fnmatchcase(name, pattern)


def test_a_name_of_any_length_is_compared_at_once():
    name = "models/" + "-fraud-" * 50_000
    began = time.monotonic()
    assert not Identity("alice", ("*-fraud-*-eu",)).sees(name)
    assert time.monotonic() - began < patience(5)  # by backtracking it takes twenty


@given(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True), st.data())
def test_a_name_matches_itself_with_any_part_starred(name, data):
    start = data.draw(st.integers(0, len(name)))
    end = data.draw(st.integers(start, len(name)))
    assert Identity("alice", (name,)).sees(name)
    assert Identity("alice", (f"{name[:start]}*{name[end:]}",)).sees(name)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("digits", "digits"),
        ("models/digits", "digits"),
        ("models/digits/versions/3", "digits"),
        ("routes/digits", "digits"),
        ("models/", ""),
        ("other/digits", "other/digits"),
    ],
)
def test_the_model_is_found_in_a_resource_name(name, model):
    assert model_of(name) == model


def test_a_hidden_model_is_answered_like_an_unknown_one():
    error = model_not_found("x")
    assert isinstance(error, NotFound)
    assert (error.public_message, error.reason) == ("model 'x' not found", "MODEL_NOT_FOUND")


async def test_the_identity_belongs_to_the_task():
    async def as_caller(caller: Identity) -> list[str]:
        act_as(caller)
        await asyncio.sleep(0)
        return visible(["a", "b", "c"])

    seen = await asyncio.gather(as_caller(Identity("x", ("a",))), as_caller(Identity("y", ("b", "c"))))
    assert seen == [["a"], ["b", "c"]]
    assert identity() is INTERNAL
