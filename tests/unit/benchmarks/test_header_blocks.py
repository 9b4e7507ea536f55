"""Header blocks of the load generator, against an HPACK implementation that is not ours."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load.header_blocks import Ending, EndingReader, request_blocks

HEADERS = [
    (":path", "/headrace.router.v1.RouterService/Predict"),
    (":authority", "127.0.0.1:8080"),
    ("content-type", "application/grpc"),
    ("authorization", f"Bearer {'x' * 700}"),
]
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300)


def encoder() -> Encoder:
    """Return an encoder for a peer that keeps no table, as the generator announces itself."""
    made = Encoder()
    made.header_table_size = 0
    return made


def test_every_request_of_a_connection_has_the_same_headers():
    blocks, decoder = request_blocks(HEADERS), Decoder()
    expected = [(":method", "POST"), (":scheme", "http"), *HEADERS]
    for block in (blocks.first, blocks.others, blocks.others):
        assert [(name, value) for name, value in decoder.decode(block)] == expected


def test_requests_after_the_first_send_indices_only():
    assert len(request_blocks(HEADERS).others) == 2 + len(HEADERS)


def test_headers_that_a_peer_need_not_keep_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        request_blocks([(":path", "/"), ("authorization", "x" * 5000)])


@given(message=visible, request_id=visible, huffman=st.booleans())
def test_the_end_of_an_answer_is_read_whatever_stands_beside_it(message: str, request_id: str, huffman: bool):
    headers = [
        (":status", "200"),
        ("x-request-id", request_id),
        ("grpc-status", "8"),
        ("grpc-message", message),
        ("grpc-status-details-bin", "CAgS"),
    ]
    assert EndingReader().read(encoder().encode(headers, huffman=huffman)) == Ending("200", "8", message, "CAgS")


def test_equal_blocks_are_read_alike_wherever_they_stand():
    writes, reads = encoder(), EndingReader()
    for code in ("0", "8", "0", "14", "8"):
        assert reads.read(writes.encode([("grpc-status", code)])).grpc == code


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\xc0", id="an entry of a table that we did not allow"),
        pytest.param(b"\x00\x05abc", id="a name that ends too early"),
    ],
)
def test_what_is_no_block_is_refused(block: bytes):
    with pytest.raises(ValueError):  # noqa: PT011  (either message will do)
        EndingReader().read(block)
