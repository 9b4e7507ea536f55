"""The entry around a stored answer: what was written under a key is read back, anything else is nothing."""

from headrace_router.stored_answers import Entry, cache_prefix, decode, encode, marker_key, precomputed_prefix
from hypothesis import given
from hypothesis import strategies as st

entries = st.builds(Entry, st.integers(0, 2**64 - 1), st.binary(max_size=200))


@given(st.binary(max_size=80), entries)
def test_an_entry_is_read_back_as_it_was_written(key: bytes, entry: Entry):
    assert decode(key, encode(key, entry)) == entry


@given(st.binary(max_size=80), entries, st.data())
def test_an_entry_with_one_changed_byte_is_nothing(key: bytes, entry: Entry, data: st.DataObject):
    stored = bytearray(encode(key, entry))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    assert decode(key, bytes(stored)) is None


@given(st.binary(max_size=80), st.binary(max_size=80), entries)
def test_an_entry_under_another_key_is_nothing(key: bytes, other: bytes, entry: Entry):
    if key != other:
        assert decode(other, encode(key, entry)) is None


@given(st.binary(max_size=40))
def test_bytes_that_nobody_wrote_are_nothing(stored: bytes):
    assert decode(b"key", stored) is None


def test_epochs_generations_and_kinds_do_not_share_keys():
    keys = {
        cache_prefix("i", "d", 1),
        cache_prefix("i", "d", 11),
        cache_prefix("j", "d", 1),
        precomputed_prefix("i", "d", 1),
        precomputed_prefix("i", "e", 1),
        marker_key("i", "d", 1),
    }
    assert len(keys) == 6
    assert not any(one != other and one.startswith(other) for one in keys for other in keys)
