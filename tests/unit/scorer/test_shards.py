"""Cutting an input into shards."""

from headrace_scorer.decisions.shards import Piece, cut, input_digest
from headrace_scorer.decisions.specs import Format, Location, format_of, is_input, location_of
from hypothesis import given
from hypothesis import strategies as st

groups = st.lists(st.integers(1, 500), max_size=20).map(tuple)
pieces = st.lists(
    st.builds(Piece, st.text(min_size=1, max_size=5), st.just("e"), st.integers(1, 99), groups), max_size=6,
    unique_by=lambda piece: piece.key,
)  # fmt: skip


@given(pieces, st.integers(1, 800))
def test_shards_hold_every_row_group_once_and_in_order(given_pieces: list[Piece], shard_rows: int):
    shards = cut(given_pieces, shard_rows)
    assert [one.number for one in shards] == list(range(len(shards)))
    for piece in given_pieces:
        of = [one for one in shards if one.key == piece.key]
        if not piece.group_rows:
            assert [(one.first_group, one.end_group, one.rows) for one in of] == [(0, 0, None)]
            continue
        covered = [group for one in of for group in range(one.first_group, one.end_group)]
        assert covered == list(range(len(piece.group_rows)))
        for one in of:
            assert one.first_row == sum(piece.group_rows[: one.first_group])
            assert one.rows == sum(piece.group_rows[one.first_group : one.end_group])
            assert (one.rows or 0) <= shard_rows or one.end_group == one.first_group + 1


@given(pieces)
def test_the_same_input_gives_the_same_names_in_whatever_order_it_is_listed(given_pieces: list[Piece]):
    names = [one.file for one in cut(given_pieces, 100)]
    assert [one.file for one in cut(list(reversed(given_pieces)), 100)] == names
    assert len(set(names)) == len(names)


def test_another_version_of_an_object_is_another_shard():
    one, other = (cut([Piece("a", etag, 9, (5,))], 10)[0] for etag in ("1", "2"))
    assert one.identity != other.identity
    assert input_digest([("a", "1", 9)]) != input_digest([("a", "2", 9)])


def test_places_and_formats_are_read_from_names():
    assert location_of("s3://tables/day=1/") == Location("tables", "day=1")
    assert location_of("s3://tables") == Location("tables", "")
    for wrong in ("tables/day", "s3://", "s3://Tables/x", "s3://tables/a//b", "s3://tables/../x", "file:///etc/passwd"):
        assert location_of(wrong) is None
    assert format_of("a/B.PARQUET", Format.EXTENSION) is Format.PARQUET
    assert format_of("a/b.ndjson", Format.EXTENSION) is Format.JSONL
    assert format_of("a/b", Format.EXTENSION) is None
    assert format_of("a/b", Format.CSV) is Format.CSV
    assert is_input("in/day=1/a.csv", "in")
    assert is_input("in", "in")
    assert not is_input("in/_rejected/a.csv", "in")
    assert not is_input("inner/a.csv", "in")
    assert not is_input("in/day/", "in")
    assert is_input("a.csv", "")
