from __future__ import annotations

from headrace_router.data.lookup.layers import OVERHEAD_BYTES, Memory
from hypothesis import given
from hypothesis import strategies as st

ENTRY = OVERHEAD_BYTES + 11


def put(memory: Memory, key: str, outputs: bytes = b"0123456789") -> None:
    memory.put(key, outputs, 0.0, 0, key_bytes=1)


def test_the_least_recently_used_goes_first():
    memory = Memory(3 * ENTRY, 100)
    for key in "abc":
        put(memory, key)
    assert memory.get("a") is not None
    put(memory, "d")
    assert [memory.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert memory.evicted == 1


def test_what_is_too_large_is_not_kept_and_replaces_what_was_there():
    memory = Memory(3 * ENTRY, 10)
    put(memory, "a")
    put(memory, "a", b"0123456789+")
    assert memory.get("a") is None
    assert memory.size_bytes == 0


def test_without_room_nothing_is_kept():
    memory = Memory(0, 100)
    put(memory, "a")
    assert (len(memory), memory.evicted) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=600), st.booleans())))
def test_bytes_are_counted_rightly_and_never_above_the_bound(steps):
    memory, kept = Memory(3 * ENTRY, 500), {}
    for key, outputs, forget in steps:
        if forget:
            memory.forget(key)
        else:
            put(memory, key, outputs)
        kept[key] = outputs
        there = {name: found for name in "abcdef" if (found := memory.get(name)) is not None}
        assert memory.size_bytes == sum(len(found.outputs) + 1 + OVERHEAD_BYTES for found in there.values())
        assert memory.size_bytes <= 3 * ENTRY
        assert all(found.outputs == kept[name] for name, found in there.items())
