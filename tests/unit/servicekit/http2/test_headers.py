"""Header blocks: what we write is what others read, and nothing that comes breaks the reader."""

from typing import Any

import grpc
import pytest
from headrace_servicekit.http2.headers import (
    BlockReader,
    ending_block,
    metadata_of,
    request_block,
    status_of,
    timeout_field,
    timeout_of,
)
from headrace_servicekit.http2.wire import WireError
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=200)


def test_a_request_says_what_a_grpc_client_says():
    block = request_block("/a.v1.S/Do", "batcher:8090", secure=False) + timeout_field(1.5)
    assert list(Decoder().decode(block)) == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.v1.S/Do"),
        (":authority", "batcher:8090"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "1500000u"),
    ]


@given(st.sampled_from(list(grpc.StatusCode)), TEXT, st.booleans())
def test_a_status_arrives_with_its_message_whatever_it_contains(code: grpc.StatusCode, details: str, alone: bool):
    headers = BlockReader().read(ending_block(code, details, (("x-id", "7"), ("x-bin", b"\0\xff")), alone=alone))
    assert status_of(headers) == (code, details)
    assert metadata_of(headers) == (("x-id", "7"), ("x-bin", b"\0\xff"))


@given(st.floats(1e-6, 1e6))
def test_a_timeout_arrives_as_it_was_given(seconds: float):
    decoded: Any = list(Decoder().decode(timeout_field(seconds)))
    said = timeout_of(decoded)
    assert said is not None
    assert said == pytest.approx(seconds, rel=1e-3, abs=1e-6)


@each("value", ["", "5", "S", "123456789S", "5X", "-5S", "٥S", "1.5S"])
def test_a_timeout_that_is_none_is_refused(value: str):
    with pytest.raises(ValueError, match="grpc-timeout"):
        timeout_of([("grpc-timeout", value)])


def test_without_a_timeout_there_is_none():
    assert timeout_of([(":path", "/")]) is None


@pytest.mark.parametrize(
    ("http", "code"),
    [
        ("200", grpc.StatusCode.UNKNOWN),
        ("404", grpc.StatusCode.UNIMPLEMENTED),
        ("503", grpc.StatusCode.UNAVAILABLE),
        ("418", grpc.StatusCode.UNKNOWN),
    ],
)
def test_an_answer_without_a_grpc_status_is_read_by_its_http_status(http: str, code: grpc.StatusCode):
    assert status_of([(":status", http)])[0] is code


def test_binary_metadata_that_is_not_base64_is_left_out():
    assert metadata_of([("a-bin", "%%%"), ("b", "c")]) == (("b", "c"),)


def test_a_peer_that_compresses_without_a_table_is_understood():
    encoder = Encoder()
    encoder.header_table_size = 0
    for path in ("/a.v1.S/Do", "/b.v1.S/Do"):
        block = encoder.encode([(":path", path), ("user-agent", "grpc-python")], huffman=True)
        assert list(BlockReader().read(block)) == [(":path", path), ("user-agent", "grpc-python")]


def test_an_entry_of_a_table_that_was_not_allowed_is_an_error():
    with pytest.raises(WireError, match="cannot be read"):
        BlockReader().read(b"\xbe")


@given(st.binary(max_size=200))
def test_random_bytes_are_headers_or_an_error(block: bytes):
    reader = BlockReader()
    try:
        first = reader.read(block)
    except WireError:
        return
    assert reader.read(block) == first


def test_more_different_blocks_than_are_kept_are_read_all_the_same():
    reader = BlockReader()
    for number in range(1000):
        assert status_of(reader.read(ending_block(grpc.StatusCode.OK, str(number), (), alone=False)))[1] == str(number)
