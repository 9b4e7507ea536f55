"""Encoded outputs are what PredictResponse and ModelInferResponse both read."""

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace_batcher.encoder import Encoder, varint
from headrace_runtime.contract import TensorSpec
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.kit.rows import each

SCORES, LABEL, TEXT = TensorSpec("scores", "FP32", (3,)), TensorSpec("label", "INT64", ()), TensorSpec("t", "BYTES", ())
READERS = [predict_pb2.PredictResponse, vars(service_pb2)["ModelInferResponse"]]


def read(encoded: bytes, reader: type) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    message = reader.FromString(encoded)
    return [
        (tensor.name, tensor.datatype, tuple(tensor.shape), raw)
        for tensor, raw in zip(message.outputs, message.raw_output_contents, strict=True)
    ]


@each("reader", READERS)
@each("wanted", [(), (1,), (1, 0), (2,), (0, 2)])
def test_both_protocols_read_the_wanted_outputs(reader, wanted):
    scores, label, text = np.arange(6, dtype=np.float32).tobytes(), bytes(16), b"\x01\0\0\0a\x02\0\0\0bc"
    everything = [
        ("scores", "FP32", (2, 3), scores),
        ("label", "INT64", (2,), label),
        ("t", "BYTES", (2,), text),
    ]
    encoder = Encoder([SCORES, LABEL, TEXT])
    for _ in range(2):  # the second time from the template
        encoded = encoder.encode(wanted, 2, ((3,), (), ()), [scores, memoryview(label), text])
        assert read(encoded, reader) == [everything[at] for at in wanted or (0, 1, 2)]


@pytest.mark.parametrize("outputs", [[SCORES], [SCORES, LABEL]])
def test_rows_have_templates_of_their_own(outputs):
    encoder = Encoder(outputs)
    for rows in (1, 300, 1, 2):
        values = [bytes(rows * 12), bytes(rows * 8)][: len(outputs)]
        shapes = ((3,), ())[: len(outputs)]
        found = read(encoder.encode((), rows, shapes, values), predict_pb2.PredictResponse)
        assert [shape for _, _, shape, _ in found] == [(rows, *shape) for shape in shapes]
        assert [raw for *_, raw in found] == values


def test_texts_of_other_lengths_do_not_share_a_header():
    encoder = Encoder([TEXT])
    for text in (b"\0\0\0\0", b"\x02\0\0\0ab", b"\x00\x01\0\0" + bytes(256)):
        assert read(encoder.encode((), 1, ((),), [text]), predict_pb2.PredictResponse)[0][3] == text


@given(st.integers(0, 2**40))
def test_a_varint_is_what_protobuf_reads(number):
    assert predict_pb2.PredictResponse.FromString(b"\xa0\x01" + varint(number)).age_ms == number
