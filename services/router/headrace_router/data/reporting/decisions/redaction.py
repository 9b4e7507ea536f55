"""What of a prediction must not be stored: what a contract calls sensitive, and attributes of such names. Pure."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2

from headrace_router.data.reporting.decisions.recorder import Record
from headrace_router.data.tables.served import RecordedStep


def shown_inputs(record: Record) -> tuple[int, ...]:
    """Return the positions, among the inputs that a request has, of those that may be stored.

    A fallback's version may be stricter than the request's own: both have to allow it.
    """
    variant, other = record.variant, record.answer.served
    served = variant.served
    hidden = served.sensitive_inputs if other is None else served.sensitive_inputs | other.sensitive_inputs
    if isinstance(variant, RecordedStep):
        hidden |= variant.hidden_inputs
    absent = record.layout.absent
    names = [spec.name for position, spec in enumerate(served.contract.inputs) if position not in absent]
    return tuple(position for position, name in enumerate(names) if name not in hidden)


def redacted_outputs(record: Record) -> frozenset[str]:
    """Return the names of outputs that must not be stored."""
    variant, other = record.variant, record.answer.served
    hidden = variant.served.sensitive_outputs | (frozenset() if other is None else other.sensitive_outputs)
    return hidden | variant.hidden_outputs if isinstance(variant, RecordedStep) else hidden


def sensitive_names(record: Record) -> frozenset[str]:
    """Return the names of sensitive tensors and of their columns: an attribute that is called so has the same value."""
    variant, other = record.variant, record.answer.served
    names = variant.served.sensitive_attributes | (frozenset() if other is None else other.sensitive_attributes)
    return names | variant.hidden_attributes if isinstance(variant, RecordedStep) else names


def without(outputs: bytes, hidden: frozenset[str]) -> bytes:
    """Return encoded outputs without those of some names."""
    if not hidden:
        return outputs
    try:
        message = predict_pb2.PredictResponse.FromString(outputs)
    except DecodeError:
        return b""  # what would be in it is unknown
    shown = [
        (tensor, content)
        for tensor, content in zip(message.outputs, message.raw_output_contents, strict=False)
        if tensor.name not in hidden
    ]
    return predict_pb2.PredictResponse(
        outputs=[tensor for tensor, _ in shown], raw_output_contents=[content for _, content in shown]
    ).SerializeToString()
