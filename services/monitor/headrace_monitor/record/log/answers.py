"""Taking answers apart: encoded fields 5 and 6 of PredictResponse, a few layouts in thousands of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace_servicekit.varint import varint

# Field 6, length-delimited.
_RAW_TAG = b"\x32"


class Output(NamedTuple):
    """One output as a layout has it. shape: of a row."""

    name: str
    datatype: str
    shape: tuple[int, ...]


Layout = tuple[Output, ...]


class Answer(NamedTuple):
    """One answer taken apart. rows: as its tensors say. raw: values of each output of the layout."""

    layout: Layout
    rows: int
    raw: tuple[bytes, ...]


UNREADABLE = Answer((), 0, ())


class _Template(NamedTuple):
    """An answer like many others of its length: what lies between their values is the same in all."""

    layout: Layout
    rows: int
    between: tuple[tuple[int, int, bytes], ...]
    values: tuple[slice, ...]

    def fits(self, encoded: bytes) -> bool:
        return all(encoded[begin:end] == content for begin, end, content in self.between)


def take_apart(encoded: Sequence[bytes]) -> list[Answer]:
    """Return each answer's layout and values; UNREADABLE for what is none.

    Parsing one takes microseconds, comparing it with the last of its length a tenth of that.
    """
    templates: dict[int, _Template] = {}
    found = []
    for one in encoded:
        template = templates.get(len(one))
        if template is None or not template.fits(one):
            parsed = _parsed(one)
            template = _template(one, parsed)
            if template is None:
                found.append(parsed)
                continue
            templates[len(one)] = template
        found.append(Answer(template.layout, template.rows, tuple(one[place] for place in template.values)))
    return found


def _parsed(encoded: bytes) -> Answer:
    try:
        message = predict_pb2.PredictResponse.FromString(encoded)
    except DecodeError:
        return UNREADABLE
    rows = {output.shape[0] if output.shape else 1 for output in message.outputs}
    if len(rows) != 1 or len(message.outputs) != len(message.raw_output_contents):
        return UNREADABLE
    layout = tuple(Output(one.name, one.datatype, tuple(one.shape[1:])) for one in message.outputs)
    return Answer(layout, rows.pop(), tuple(message.raw_output_contents))


def _template(encoded: bytes, answer: Answer) -> _Template | None:
    """Return what answers like this one have in common; None when its values do not lie at its end, in order."""
    heads = [_RAW_TAG + varint(len(raw)) for raw in answer.raw]
    begin = len(encoded) - sum(map(len, heads)) - sum(map(len, answer.raw))
    between, values, last = [], [], 0
    for head, raw in zip(heads, answer.raw, strict=True):
        begin += len(head)
        if encoded[begin - len(head) : begin] != head or encoded[begin : begin + len(raw)] != raw:
            return None
        between.append((last, begin, encoded[last:begin]))
        last = begin = begin + len(raw)
        values.append(slice(begin - len(raw), begin))
    return _Template(answer.layout, answer.rows, tuple(between), tuple(values)) if values else None
