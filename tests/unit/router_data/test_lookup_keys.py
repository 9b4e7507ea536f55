"""No two requests that may differ share an entry."""

from __future__ import annotations

from typing import NamedTuple

from headrace_router.data.lookup.cache_lookup import by_entity, by_inputs
from headrace_router.data.tables.contract import Layout
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.lists(st.integers(0, 3), max_size=3).map(tuple)
# Few and short values, so that different requests often have the same bytes when their parts are put one after another.
TEXT = st.text("ab", max_size=3)


class Parts(NamedTuple):
    """What an answer may depend on."""

    prefix: bytes
    signature: str
    rows: int
    absent: tuple[int, ...]
    dims: tuple[int, ...]
    outputs: tuple[int, ...]
    entity: str
    inputs: tuple[bytes, ...]

    def key(self) -> bytes:
        layout = Layout(self.rows, (), self.absent, self.dims, (), (), True)
        return by_inputs(self.prefix, self.signature, layout, self.inputs, self.outputs, self.entity)

    def key_of_entity(self) -> bytes:
        return by_entity(self.prefix, self.signature, self.rows, self.outputs, self.entity)


PARTS = st.builds(
    Parts,
    st.sampled_from([b"c:i:d:0:", b"c:i:d:1:", b"c:i:e:0:"]),
    TEXT,
    st.integers(1, 3),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    TEXT,
    st.lists(st.binary(max_size=3), max_size=3).map(tuple),
)


@given(PARTS, PARTS)
def test_keys_are_the_same_exactly_when_every_part_is(one: Parts, other: Parts):
    assert (one.key() == other.key()) == (one == other)


@given(PARTS, PARTS, st.integers(0, 7))
def test_a_change_of_one_part_changes_the_key(one: Parts, other: Parts, position: int):
    changed = one._replace(**{Parts._fields[position]: other[position]})
    assert (changed.key() == one.key()) == (changed == one)


@given(PARTS, PARTS)
def test_by_entity_the_inputs_do_not_matter_and_all_else_does(one: Parts, other: Parts):
    same = one._replace(absent=(), dims=(), inputs=()) == other._replace(absent=(), dims=(), inputs=())
    assert (one.key_of_entity() == other.key_of_entity()) == same


@given(PARTS, PARTS)
def test_the_two_kinds_of_key_never_meet(one: Parts, other: Parts):
    assert one.key() != other.key_of_entity()
