"""What it costs to check frames and answers, in the data plane and the batcher together: one row per size.

    .venv/bin/python -m benchmarks.checksums

`without`, `with`: microseconds to write and read a frame of so many requests. `request`: the difference for each.
`answer`: to compare an answer of that size with the contract; `parsed`: by parsing it, as is done for the first.
"""

from __future__ import annotations

import os
import timeit
from collections.abc import Callable
from functools import partial

from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2
from headrace_router.data.tables.contract import Contract, Spec
from headrace_router.data.tables.served import KnownForms, checked
from headrace_servicekit.checksums import FrameReader, encode

SIZES = ((1_000, 1), (1_000, 6), (10_000, 1), (600_000, 1))
"""Bytes of a request, and requests of a frame."""


def frame_of(size: int, requests: int) -> batcher_pb2.ExchangeRequest:
    """Return a frame of requests with so many bytes each."""
    frame = batcher_pb2.ExchangeRequest()
    for number in range(requests):
        frame.requests.add(
            id=number + 1, version=1, rows=1, inputs=[os.urandom(size)], deadline_us=1_000_000, client="somebody"
        )
    return frame


def answer_of(size: int) -> tuple[Contract, bytes]:
    """Return a contract of one output, and an answer by it."""
    values = size // 4
    message = predict_pb2.PredictResponse(raw_output_contents=[bytes(values * 4)])
    message.outputs.add(name="scores", datatype="FP32", shape=[1, values])
    return Contract((), (Spec("scores", "FP32", (values,)),)), message.SerializeToString()


def microseconds(act: Callable[[], object], size: int) -> float:
    """Return what a call takes, at its quickest."""
    number = max(100, min(100_000, 20_000_000 // size))
    return min(timeit.repeat(act, number=number, repeat=7)) / number * 1e6


def main() -> None:
    print(f"{'bytes':>8} {'requests':>8} {'without':>8} {'with':>8} {'request':>8} {'answer':>8} {'parsed':>8}")
    for size, requests in SIZES:
        frame, whole = frame_of(size, requests), size * requests
        plain, sealed = frame.SerializeToString(), encode(frame)
        reader = FrameReader(batcher_pb2.ExchangeRequest.FromString)
        without = microseconds(frame.SerializeToString, whole)
        without += microseconds(partial(batcher_pb2.ExchangeRequest.FromString, plain), whole)
        with_it = microseconds(partial(encode, frame), whole) + microseconds(partial(reader.read, sealed), whole)
        contract, answer = answer_of(size)
        known = KnownForms(contract)
        looked_up = microseconds(partial(known.keep_contract, 1, (), answer), size)
        parsed = microseconds(partial(checked, contract, (), 1, answer), size)
        each = (with_it - without) / requests
        print(
            f"{size:8} {requests:8} {without:8.2f} {with_it:8.2f} {each:8.2f} {looked_up:8.2f} {parsed:8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
