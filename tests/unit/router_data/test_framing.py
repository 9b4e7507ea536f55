"""Messages of gRPC over HTTP/2: what was framed is read back, anything else is refused, nothing grows unbounded."""

import base64
import gzip
import zlib

import pytest
from google.rpc import status_pb2
from headrace_router.data.transports.envoy.unary_calls import framed, refusal_headers, unframed
from headrace_servicekit.errors import InvalidArgument, NotFound, ResourceExhausted, ServiceError
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.wire.framing import frame

MOST = 1000


def compressed(data: bytes) -> bytes:
    return frame(data, flag=1)


@given(st.binary(max_size=MOST))
def test_a_framed_message_is_read_back(message: bytes):
    assert unframed(framed(message), "", MOST) == message


@given(st.binary(max_size=MOST))
def test_a_compressed_message_is_read_back(message: bytes):
    assert unframed(compressed(gzip.compress(message)), "gzip", 2 * MOST) == message
    assert unframed(compressed(zlib.compress(message)), "deflate", 2 * MOST) == message


@given(st.binary(max_size=60), st.sampled_from(["", "identity", "gzip", "deflate", "snappy"]))
def test_any_other_bytes_are_refused_with_a_typed_error(body: bytes, encoding: str):
    outcome: ServiceError | bytes
    try:
        outcome = unframed(body, encoding, MOST)
    except ServiceError as error:
        outcome = error
    if isinstance(outcome, ServiceError):
        assert outcome.reason in ("MALFORMED_MESSAGE", "MALFORMED_BODY", "REQUEST_TOO_LARGE")
    else:
        assert len(outcome) <= MOST


@given(st.binary(max_size=50), st.data())
def test_a_truncated_or_extended_message_is_refused(message: bytes, data: st.DataObject):
    whole = framed(message)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for body in (whole[:cut], whole + b"x", whole + whole):
        with pytest.raises(InvalidArgument):
            unframed(body, "", MOST)


def test_a_message_above_the_limit_is_refused():
    with pytest.raises(ResourceExhausted):
        unframed(framed(bytes(MOST + 1)), "", MOST)


def test_a_small_body_that_would_inflate_above_the_limit_is_refused():
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(ResourceExhausted):
        unframed(compressed(bomb), "gzip", 100_000)


def test_a_compressed_message_without_encoding_and_an_unknown_encoding_are_told_apart():
    data = compressed(gzip.compress(b"x"))
    with pytest.raises(InvalidArgument):
        unframed(data, "", MOST)
    with pytest.raises(InvalidArgument) as caught:
        unframed(data, "snappy", MOST)
    assert "gzip" in caught.value.public_message


def test_compressed_bytes_that_are_cut_or_followed_by_others_are_refused():
    data = gzip.compress(b"some words")
    for wrong in (data[:-3], data + b"x", b"no gzip at all"):
        with pytest.raises(InvalidArgument):
            unframed(compressed(wrong), "gzip", MOST)


def test_an_error_is_told_in_three_headers():
    headers = dict(refusal_headers(NotFound("model 'größe' 100 %\n", reason="MODEL_NOT_FOUND")))
    assert headers[b"grpc-status"] == b"5"
    assert headers[b"grpc-message"] == b"model 'gr%C3%B6%C3%9Fe' 100 %25%0A"
    details = headers[b"grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(details + b"=" * (-len(details) % 4)))
    assert status.message == "model 'größe' 100 %\n"
    assert b"=" not in details
