"""An answer with places for what differs when it is given again: its request id, prediction id and age.

The answer is rendered with marks there, whatever its protocol. Each mark has the length of what replaces it, so that no
other byte changes: an age is a varint of five bytes in protobuf and ten characters in JSON, with spaces first. Pure.
"""

from __future__ import annotations

import random
import string
import struct
from collections.abc import Iterator
from typing import NamedTuple

from headrace_servicekit.calls import REQUEST_ID_HEADER

# As in repeated_answers.c.
REQUEST_ID, PREDICTION_ID, AGE_VARINT, AGE_DECIMAL = range(4)
LEAST_ID, MOST_ID = 12, 40
LEAST_AGE, MOST_AGE = 10**9, 2**31
"""Ages in milliseconds that fill both forms, one of which is the mark."""
_VARINT_BYTES, _DECIMAL_CHARS = 5, 10
_LETTERS = string.ascii_lowercase + string.digits
_HEAD = struct.Struct("=QIIII")
_LENGTHS = struct.Struct("=HH")


def varint(value: int) -> bytes:
    """Return a number below 2^35 as a varint of five bytes."""
    return bytes((value >> 7 * at) & 127 | (128 if at < _VARINT_BYTES - 1 else 0) for at in range(_VARINT_BYTES))


def decimal(value: int) -> bytes:
    """Return a number in ten characters."""
    return str(value).rjust(_DECIMAL_CHARS).encode()


class Hole(NamedTuple):
    """A place in an answer. kind: of what goes there."""

    kind: int
    at: int


class Template(NamedTuple):
    """An answer as the filter takes it, and what of it differs each time. whole: whether all of that was found."""

    answer: bytes
    holes: tuple[Hole, ...]
    whole: bool

    def filled(self, request_id: str, prediction_id: str, age_ms: int) -> bytes:
        """Return an answer. request_id: as long as the mark."""
        values = request_id.encode(), prediction_id.encode(), varint(age_ms), decimal(age_ms)
        whole = bytearray(self.answer)
        for kind, at in self.holes:
            whole[at : at + len(values[kind])] = values[kind]
        return bytes(whole)


class Marks(NamedTuple):
    """What an answer is rendered with."""

    request_id: str
    prediction_id: str
    age_ms: int


def marks_for(outputs: bytes, request_id: str, prediction_id: str) -> Marks:
    """Return marks that do not stand in the outputs. request_id: has the length of the mark."""
    while True:
        mark = "".join(random.choices(_LETTERS, k=len(request_id)))
        marks = Marks(mark, prediction_id, random.randrange(LEAST_AGE, MOST_AGE))
        if varint(marks.age_ms) not in outputs and mark.encode() not in outputs:
            return marks


def template_of(answer: bytes, marks: Marks) -> Template:
    """Return the template of an answer whose body was rendered with marks."""
    _, headers, body, _, _ = _HEAD.unpack_from(answer)
    body_at = _HEAD.size + headers
    trailers_at = body_at + body
    text = answer[body_at:trailers_at]
    by_request, by_prediction, by_varint = (
        [Hole(kind, body_at + at) for at in _places(text, mark)]
        for kind, mark in enumerate((marks.request_id.encode(), marks.prediction_id.encode(), varint(marks.age_ms)))
    )
    # Digits might be those of an output: the name before them might not.
    named = b'age_ms":' + decimal(marks.age_ms)
    by_decimal = [Hole(AGE_DECIMAL, body_at + at + len(named) - _DECIMAL_CHARS) for at in _places(text, named)]
    ids = (*_ids(answer, _HEAD.size, body_at), *_ids(answer, trailers_at, len(answer)))
    holes = (*(Hole(REQUEST_ID, at) for at in ids), *by_request, *by_prediction, *by_varint, *by_decimal)
    whole = len(by_request) <= 1 and len(by_prediction) == 1 and len(by_varint) + len(by_decimal) == 1
    return Template(answer, holes, whole)


def _ids(answer: bytes, at: int, end: int) -> Iterator[int]:
    """Yield where the values of the header with the request id are."""
    while at < end:
        name, value = _LENGTHS.unpack_from(answer, at)
        at += _LENGTHS.size
        if answer[at : at + name] == REQUEST_ID_HEADER.encode():
            yield at + name
        at += name + value


def _places(text: bytes, mark: bytes) -> Iterator[int]:
    at = text.find(mark)
    while at >= 0:
        yield at
        at = text.find(mark, at + 1)
