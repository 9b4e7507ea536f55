"""Requests that ask how their answer came about."""

from __future__ import annotations

from typing import Any

from headrace.router.v1 import predict_pb2

from tests.kit.router.digits import digits_request


def asking(**fields: Any) -> predict_pb2.PredictRequest:
    """Return a prediction of digits that asks to be explained."""
    return digits_request(**{"explain": True, **fields})


def explain(**fields: Any) -> predict_pb2.ExplainRequest:
    """Return a request for an explanation."""
    return predict_pb2.ExplainRequest(**fields)
