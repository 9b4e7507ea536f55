"""Frames and messages as bytes: whole again however they were cut, and refused where they are wrong."""

import pytest
from headrace_servicekit.http2 import wire
from hypothesis import given
from hypothesis import strategies as st

BODIES = st.lists(st.binary(max_size=300), max_size=8)


@given(BODIES, st.data())
def test_messages_are_whole_again_however_their_bytes_were_cut(bodies: list[bytes], data: st.DataObject):
    sent = b"".join(wire.message(body) for body in bodies)
    messages, got = wire.Messages(None), []
    while sent:
        size = data.draw(st.integers(1, len(sent)))
        got += messages.feed(sent[:size])
        sent = sent[size:]
    assert got == bodies


def test_a_message_above_the_bound_is_refused_by_its_head_alone():
    with pytest.raises(wire.MessageTooLarge, match="a message of 11 bytes is larger than 10"):
        wire.Messages(10).feed(wire.message(b"x" * 11)[: wire.MESSAGE_HEAD_BYTES])


def test_a_compressed_message_is_refused():
    with pytest.raises(wire.MessageError, match="compressed"):
        wire.Messages(None).feed(b"\1" + wire.message(b"x")[1:])


def test_settings_are_read_as_they_were_written():
    pairs = [(wire.HEADER_TABLE_SIZE, 0), (wire.INITIAL_WINDOW_SIZE, wire.MAX_WINDOW)]
    assert wire.read_settings(wire.settings(pairs)[wire.HEAD_BYTES :]) == pairs


def test_half_a_setting_is_an_error():
    with pytest.raises(wire.WireError, match="ends within a setting"):
        wire.read_settings(b"\0\1\0")


@pytest.mark.parametrize(
    ("flags", "payload", "meant"),
    [
        (0, b"abc", b"abc"),
        (wire.PADDED, b"\2abc\0\0", b"abc"),
        (wire.PRIORITY, b"\0\0\0\0\0abc", b"abc"),
        (wire.PADDED | wire.PRIORITY, b"\1\0\0\0\0\0abc\0", b"abc"),
        (wire.PADDED, b"\3\0\0\0", b""),
    ],
)
def test_padding_and_priority_are_taken_off(flags: int, payload: bytes, meant: bytes):
    assert wire.unpadded(payload, flags, priority=True) == meant


@pytest.mark.parametrize(("flags", "payload"), [(wire.PADDED, b""), (wire.PADDED, b"\4abc"), (wire.PRIORITY, b"abc")])
def test_more_padding_than_bytes_is_an_error(flags: int, payload: bytes):
    with pytest.raises(wire.WireError):
        wire.unpadded(payload, flags, priority=True)


@pytest.mark.parametrize("size", [0, 10, 11, 20, 35])
def test_a_block_that_is_larger_than_a_frame_goes_into_several(size: int):
    block = bytes(range(size))
    data, parts, kinds, last_flags = wire.header_frames(wire.END_STREAM, 5, block, 10), [], [], 0
    while data:
        high, low, kind, last_flags, stream = wire.HEAD.unpack_from(data)
        end = wire.HEAD_BYTES + (high << 8 | low)
        assert stream == 5
        kinds.append(kind)
        parts.append(data[wire.HEAD_BYTES : end])
        data = data[end:]
    assert b"".join(parts) == block
    assert kinds == [wire.HEADERS] + [wire.CONTINUATION] * (len(parts) - 1)
    assert last_flags & wire.END_HEADERS
