"""A frame arrives as it was sent, or not at all; one of an older release has no checksum and is taken as it is."""

import pytest
from google.protobuf.message import DecodeError
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.checksums import FrameReader, Garbled, encode
from hypothesis import assume, given
from hypothesis import strategies as st

REQUEST = batcher_pb2.InferRequest(id=7, version=1, rows=1, inputs=[bytes(range(40))], client="someone")
ANSWER = batcher_pb2.InferResponse(id=7, outputs=bytes(range(60)), batch_rows=1)


def reader() -> FrameReader[batcher_pb2.ExchangeRequest]:
    return FrameReader(batcher_pb2.ExchangeRequest.FromString)


def frame() -> batcher_pb2.ExchangeRequest:
    return batcher_pb2.ExchangeRequest(requests=[REQUEST], cancelled=[3])


@pytest.mark.parametrize(
    "sent",
    [frame(), batcher_pb2.ExchangeRequest(), batcher_pb2.ExchangeResponse(responses=[ANSWER], process="one")],
    ids=["requests", "nothing", "answers"],
)
def test_what_is_sent_is_read(sent):
    read = FrameReader(type(sent).FromString).read(encode(sent))
    assert read.checked
    assert read.checksum
    read.ClearField("checksum")
    assert read == sent


@given(st.data())
def test_whatever_is_changed_of_a_frame_it_is_not_read(data):
    encoded = encode(frame())
    changes = data.draw(
        st.dictionaries(st.integers(0, len(encoded) - 1), st.integers(1, 255), min_size=1, max_size=8), label="flips"
    )
    garbled = bytes(byte ^ changes.get(at, 0) for at, byte in enumerate(encoded))
    with pytest.raises(Garbled):
        reader().read(garbled)


@given(st.data())
def test_a_frame_that_lost_or_gained_bytes_is_not_read(data):
    encoded = encode(frame())
    begin = data.draw(st.integers(0, len(encoded)))
    end = data.draw(st.integers(begin, len(encoded)))
    garbled = encoded[:begin] + data.draw(st.binary(max_size=12)) + encoded[end:]
    assume(garbled not in (encoded, b""))
    try:  # what parses and names neither checksum nor mark is what an older release may have sent
        parsed = batcher_pb2.ExchangeRequest.FromString(garbled)
        assume(parsed.checked or parsed.checksum)
    except DecodeError:
        pass
    with pytest.raises(Garbled):
        reader().read(garbled)


def test_a_frame_of_an_older_release_is_read():
    assert reader().read(frame().SerializeToString()) == frame()


def test_an_older_release_reads_a_frame_with_a_checksum():
    # It skips the fields that it does not know; these stand for them.
    encoded = encode(batcher_pb2.ExchangeRequest(cancelled=[3]))
    older = batcher_pb2.InferResponse.FromString(encode(batcher_pb2.ExchangeResponse()))
    assert older == batcher_pb2.InferResponse.FromString(older.SerializeToString())
    assert batcher_pb2.ExchangeRequest.FromString(encoded).cancelled == [3]


def test_a_stream_that_had_a_checksum_takes_no_frame_without():
    frames = reader()
    frames.read(encode(frame()))
    with pytest.raises(Garbled, match="checksum"):
        frames.read(frame().SerializeToString())
    with pytest.raises(Garbled, match="checksum"):
        frames.read(b"")
