"""The model that tests of data planes ask: digits, whose FP32 `x` has four columns, in two versions."""

from __future__ import annotations

import struct
from typing import Any

from headrace.router.v1 import predict_pb2

from tests.kit.router.fake_control import resolved_version
from tests.kit.router.predict_requests import predict_request

V1, V2 = resolved_version("digits", "v1"), resolved_version("digits", "v2")


def row(*numbers: float) -> bytes:
    """Return a row of these four numbers."""
    return struct.pack("<4f", *numbers)


ROW = row(1, 2, 3, 4)


def digits_request(content: bytes = ROW, **fields: Any) -> predict_pb2.PredictRequest:
    """Return a request of one row; fields are those of PredictRequest."""
    return predict_request("digits", ("x", "FP32", [1, 4], content), **fields)


DIGITS = digits_request()
