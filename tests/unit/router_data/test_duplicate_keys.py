"""Members that stand twice in one object of a JSON body are found, however it is written."""

import json

import orjson
import pytest
from headrace_router.data.protocols.json_body import repeated
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

DEEP = b'{"a":' + b"[" * 1010 + b'{"b":":"}' + b"]" * 1010 + b"}"


@each(
    "body,name",
    [
        pytest.param('{"instances": [[1]], "instances": [[2]]}', "instances", id="at the top"),
        pytest.param('{"instances": [{"a": 1, "a": 1}]}', "a", id="the same value, too"),
        pytest.param('{"instances": [{"a": 1}, {"b": 1, "b": 2}]}', "b", id="in a later row"),
        pytest.param('{"instances": [[1], {"b": 1, "b": 2}]}', "b", id="behind a row that is no object"),
        pytest.param('{"inputs": [{"parameters": {"x": 1, "x": 2}}]}', "x", id="in parameters"),
        pytest.param('{"a": {"b": {"c": {"d": {"e": {"f": 1, "f": 1}}}}}}', "f", id="deeper than requests are"),
        pytest.param('{"a": 1, "\\u0061": 2}', "a", id="written in another way"),
        pytest.param('{"a" : 1,\n"a"\t: "b:c"}', "a", id="with spaces, and colons in texts"),
        pytest.param('{"a:": 1, "a:": 2}', "a:", id="a colon in its name"),
        pytest.param('{"a": {}, "b": [[{"c": 1, "c": 2}]]}', "c", id="in rows of rows"),
        pytest.param('{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}]}', None, id="in different objects"),
        pytest.param('{"user_id": "urn:x:1", "at": "10:00:00"}', None, id="colons in texts alone"),
        pytest.param("{}", None, id="nothing"),
        pytest.param('{"a": %s, "b": ":"}' % ("9" * 300), None, id="a long number"),
    ],
)
def test_a_member_that_stands_twice_is_named(body: str, name: str | None):
    data = body.encode()
    assert repeated(data, orjson.loads(data)) == name


def test_what_is_nested_too_deeply_to_be_looked_at_is_an_error():
    with pytest.raises(ValueError, match="nested"):
        repeated(DEEP, orjson.loads(DEEP))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(':"\\a', max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(":ab", max_size=2), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(":ab", max_size=2), VALUES, max_size=3))
def test_bodies_that_name_everything_once_are_left_alone(body: dict):
    data = json.dumps(body).encode()
    assert repeated(data, orjson.loads(data)) is None
