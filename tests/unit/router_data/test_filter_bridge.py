"""What passes between Envoy's filter and the event loop, and what is said where there is no filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from headrace_router.data.transports.envoy.filter_bridge import NAMES, NotLoaded, configuration, opened, packed
from headrace_router.data.transports.envoy.unary_calls import framed

CONTENT = b"\x0c\x00\x10\x00content-typeapplication/grpc"


def test_an_answer_is_headers_a_body_and_trailers():
    data = packed(7, (framed(b"abc"), [(b"grpc-status", b"0")]))
    assert int.from_bytes(data[:8], "little") == 7
    headers, body, trailers = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12, 16))
    begins = 24
    assert data[begins:].startswith(b"\x07\x00\x03\x00:status200" + CONTENT)
    assert data[begins + headers :][:body] == framed(b"abc")
    assert data[begins + headers + body :] == b"\x0b\x00\x01\x00grpc-status0"
    assert trailers == 16


def test_a_refusal_has_headers_alone():
    data = packed(7, (None, [(b"grpc-status", b"5")]))
    assert data[12:20] == bytes(8)
    assert data.endswith(b"\x0b\x00\x01\x00grpc-status5")


def test_the_filter_can_count_the_headers_that_are_wanted():
    assert NAMES[0] == ":path"
    assert len(set(NAMES)) == len(NAMES) <= 64
    bounds, names, *refusal = configuration(1000, 5).split("\n")
    assert bounds.split()[1::2] == ["5", "1000"]
    assert tuple(names.split(" ")) == NAMES
    assert refusal[0] == ":status 200"
    assert "grpc-status 8" in refusal


def test_a_filter_that_cannot_be_opened_is_named(tmp_path: Path):
    with pytest.raises(NotLoaded, match="libheadrace_filter_bridge"):
        opened(tmp_path / "libheadrace_filter_bridge.so")
