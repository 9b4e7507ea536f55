"""Cutting an input into shards, each with an identity that the same input always gives. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """An object of the input. group_rows: rows of each row group; empty if they are unknown before reading."""

    key: str
    etag: str
    size_bytes: int
    group_rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shard:
    """A unit of scoring: the row groups [first_group, end_group) of an object, or all of it.

    first_row: index of its first row in the object. rows: None if unknown before reading. end_group: 0 means the end.
    """

    number: int
    key: str
    etag: str
    size_bytes: int
    first_group: int = 0
    end_group: int = 0
    first_row: int = 0
    rows: int | None = None

    @property
    def identity(self) -> str:
        """The same for the same rows of the same object."""
        parts = (self.key, self.etag, str(self.size_bytes), str(self.first_group), str(self.end_group))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def file(self) -> str:
        """The name under which its results are written, without an ending."""
        return f"part-{self.number:05d}-{self.identity[:16]}"


def cut(pieces: Iterable[Piece], shard_rows: int) -> list[Shard]:
    """Return the shards of an input, in the order of names.

    A shard takes row groups while they fit; one that is larger than a shard is a shard by itself.
    """
    shards: list[Shard] = []
    for piece in sorted(pieces, key=lambda piece: piece.key):
        if not piece.group_rows:
            shards.append(Shard(len(shards), piece.key, piece.etag, piece.size_bytes))
            continue
        for first, end, row, rows in _ranges(piece.group_rows, shard_rows):
            shards.append(Shard(len(shards), piece.key, piece.etag, piece.size_bytes, first, end, row, rows))
    return shards


def _ranges(group_rows: Sequence[int], shard_rows: int) -> Iterable[tuple[int, int, int, int]]:
    first, first_row, rows = 0, 0, 0
    for at, more in enumerate(group_rows):
        if rows and rows + more > shard_rows:
            yield first, at, first_row, rows
            first, first_row, rows = at, first_row + rows, 0
        rows += more
    if rows:
        yield first, len(group_rows), first_row, rows


def input_digest(pieces: Iterable[tuple[str, str, int]]) -> str:
    """Return the digest of an input: of names, entity tags and sizes."""
    return _digest(f"{key}\0{etag}\0{size}" for key, etag, size in pieces)


def output_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the digest of an output: of names and digests."""
    return _digest(f"{name}\0{sha256}" for name, sha256 in files)


def _digest(lines: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for line in sorted(set(lines)):
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()
