"""What the supervisor's control socket takes."""

from __future__ import annotations

import contextlib
import json

import pytest
from headrace_stack.requests import Add, Remove, Request, RequestError, Scale, Status, parse
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"do": "status"}', Status()),
        ('{"do": "status", "checks": false}', Status(checks=False)),
        ('{"do": "scale", "component": "batcher-default", "replicas": 3}', Scale("batcher-default", 3)),
        ('{"do": "scale", "component": "batcher-cpu", "replicas": 0, "to_zero": true}', Scale("batcher-cpu", 0, True)),
        (
            '{"do": "scale", "component": "batcher-cpu", "replicas": 1, "first": ["127.0.0.1:7"]}',
            Scale("batcher-cpu", 1, first=("127.0.0.1:7",)),
        ),
        ('{"do": "add", "component": "batcher-big"}', Add("batcher-big", "triton", 1)),
        ('{"do": "remove", "component": "batcher-big"}', Remove("batcher-big")),
    ],
)
def test_a_request_is_one_object(line: str, expected: Request):
    assert parse(line.encode()) == expected


@each(
    "line,field",
    [
        ("", ""),
        ("nonsense", ""),
        ("[1]", ""),
        ("[" * 100_000, ""),
        ("{}", "do"),
        ('{"do": ["scale"]}', "do"),
        ('{"do": "explode"}', "do"),
        ('{"do": "status", "component": "registry"}', "component"),
        ('{"do": "scale"}', "component"),
        ('{"do": "scale", "component": "registry"}', "replicas"),
        ('{"do": "scale", "component": 3, "replicas": 3}', "component"),
        ('{"do": "scale", "component": "registry", "replicas": "3"}', "replicas"),
        ('{"do": "scale", "component": "registry", "replicas": 3.0}', "replicas"),
        ('{"do": "scale", "component": "registry", "replicas": true}', "replicas"),
        ('{"do": "scale", "component": "registry", "replicas": 3, "to_zero": 1}', "to_zero"),
        ('{"do": "scale", "component": "registry", "replicas": 3, "twice": 1}', "twice"),
        ('{"do": "scale", "component": "registry", "replicas": 3, "first": "a"}', "first"),
        ('{"do": "scale", "component": "registry", "replicas": 3, "first": [1]}', "first"),
        ('{"do": "add"}', "component"),
        ('{"do": "remove"}', "component"),
    ],
)
def test_what_is_none_is_refused_naming_the_field(line: str, field: str):
    with pytest.raises(RequestError) as caught:
        parse(line.encode())
    assert caught.value.field == field


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from(["do", "component", "replicas", "x"]), inner)
)).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_anything_is_a_request_or_refused(line: bytes):
    with contextlib.suppress(RequestError):  # and nothing else
        parse(line)
