"""A frame arrives as it was sent, or not at all; one of an older release has no checksum and is taken as it is."""

import itertools
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
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
    assert len(read.checksum) == 18
    read.ClearField("checksum")
    assert read == sent


def test_of_a_first_frame_with_any_one_byte_changed_nothing_wrong_is_read():
    """It can be made one of an older release only by a change of the checksum itself, beside which all is right."""
    encoded, read = encode(frame()), 0
    for at, flip in itertools.product(range(len(encoded)), range(1, 256)):
        try:
            found = reader().read(encoded[:at] + bytes((encoded[at] ^ flip,)) + encoded[at + 1 :])
        except Garbled:
            continue
        found.DiscardUnknownFields()
        assert found == frame()
        read += 1
    assert read < 256


@given(st.data())
def test_a_later_frame_with_any_bytes_changed_is_not_read(data):
    encoded = encode(frame())
    changes = data.draw(
        st.dictionaries(st.integers(0, len(encoded) - 1), st.integers(1, 255), min_size=1, max_size=8), label="flips"
    )
    garbled = bytes(byte ^ changes.get(at, 0) for at, byte in enumerate(encoded))
    frames = reader()
    frames.read(encoded)
    with pytest.raises(Garbled):
        frames.read(garbled)


@given(st.data())
def test_a_frame_that_lost_or_gained_bytes_is_not_read(data):
    encoded = encode(frame())
    begin = data.draw(st.integers(0, len(encoded)))
    end = data.draw(st.integers(begin, len(encoded)))
    garbled = encoded[:begin] + data.draw(st.binary(max_size=12)) + encoded[end:]
    assume(garbled != encoded)
    frames = reader()
    frames.read(encoded)
    with pytest.raises(Garbled):
        frames.read(garbled)


def of_the_release_before() -> Any:
    """Return the message as it was before it had a checksum."""
    file = descriptor_pb2.FileDescriptorProto()
    batcher_pb2.DESCRIPTOR.CopyToProto(file)
    del file.service[:], file.dependency[:]
    for message in file.message_type:
        for field in [field for field in message.field if field.name in ("checksum", "compute_way")]:
            message.field.remove(field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("headrace.batcher.v1.ExchangeRequest"))


def test_releases_before_and_after_the_checksum_read_each_others_frames():
    older = of_the_release_before()
    assert not hasattr(older(), "checksum")
    assert reader().read(older.FromString(frame().SerializeToString()).SerializeToString()) == frame()
    read = older.FromString(encode(frame()))
    assert (read.requests[0].id, read.requests[0].inputs, list(read.cancelled)) == (7, REQUEST.inputs, [3])


def test_a_stream_that_had_a_checksum_takes_no_frame_without():
    frames = reader()
    frames.read(encode(frame()))
    with pytest.raises(Garbled, match="checksum"):
        frames.read(frame().SerializeToString())
    with pytest.raises(Garbled, match="checksum"):
        frames.read(b"")
