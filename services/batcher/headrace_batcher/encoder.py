"""Outputs as the encoded fields 5 (descriptions) and 6 (raw contents) of PredictResponse and ModelInferResponse alike.

Everything but the values is the same for all answers with the same outputs and shapes, so it is encoded once.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_runtime.contract import BYTES, TensorSpec
from headrace_runtime.shapes import Raw
from headrace_servicekit.varint import varint

# Field 6, length-delimited.
_RAW_TAG = b"\x32"
# Row counts, wanted outputs and variable shapes that are remembered; then all are forgotten.
_MAX_TEMPLATES = 4096

RowShapes = tuple[tuple[int, ...], ...]


class Encoder:
    """Encodes the answers of one version."""

    def __init__(self, outputs: Sequence[TensorSpec]) -> None:
        self._outputs = tuple(outputs)
        self._all = tuple(range(len(self._outputs)))
        self._sized = all(spec.datatype != BYTES for spec in self._outputs)
        self._templates: dict[tuple[tuple[int, ...], int, RowShapes], list[bytes]] = {}

    def encode(self, wanted: tuple[int, ...], rows: int, row_shapes: RowShapes, values: Sequence[Raw]) -> bytes:
        """Return the two fields.

        wanted: positions of the outputs to give, empty for all. row_shapes, values: of every output of the contract.
        """
        key = (wanted, rows, row_shapes)
        template = self._templates.get(key)
        if template is None:
            template = self._template(key, values)
        if self._sized:
            if len(template) == 1:
                return template[0] + values[wanted[0] if wanted else 0]
            parts: list[Raw] = []
            for header, position in zip(template, wanted or self._all, strict=True):
                parts += (header, values[position])
            return b"".join(parts)
        parts = [template[0]]
        for position in wanted or self._all:
            parts += (_RAW_TAG, varint(len(values[position])), values[position])
        return b"".join(parts)

    def _template(self, key: tuple[tuple[int, ...], int, RowShapes], values: Sequence[Raw]) -> list[bytes]:
        """Return what stands before each value: field 5 and the first header, then the other headers.

        With BYTES the lengths differ from answer to answer, so only field 5 is kept.
        """
        wanted, rows, row_shapes = key
        positions = wanted or self._all
        described = predict_pb2.PredictResponse(
            outputs=[
                tensor_pb2.Tensor(
                    name=self._outputs[at].name, datatype=self._outputs[at].datatype, shape=(rows, *row_shapes[at])
                )
                for at in positions
            ]
        ).SerializeToString()
        template = [described]
        if self._sized:
            headers = [_RAW_TAG + varint(len(values[at])) for at in positions]
            template = [described + headers[0], *headers[1:]]
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        self._templates[key] = template
        return template
