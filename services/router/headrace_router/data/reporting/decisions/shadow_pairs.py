"""Pairs of an answer and its shadow's, as `ReportShadowPairs` carries them, until they are sent. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.batcher.v1 import batcher_pb2
from headrace.telemetry.v1 import telemetry_pb2

from headrace_router.data.answer.answer import Answer
from headrace_router.data.reporting.decisions.batches import attributes_text
from headrace_router.data.reporting.decisions.redaction import without
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.table import Variant

# Of one message: half of what the monitor takes.
MESSAGE_PAIRS, MESSAGE_BYTES = 1024, 1024 * 1024
# Of all that are not sent; the oldest go then.
MAX_BYTES = 16 * 1024 * 1024


class PairBuffer:
    """Pairs that are not sent yet. dropped: for want of room, so far."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._pairs, self._size_bytes = max_bytes, list[telemetry_pb2.ShadowPair](), 0
        self.dropped = 0

    def add(self, pair: telemetry_pb2.ShadowPair) -> None:
        """Keep a pair; where there is no room, it and all others go."""
        self._size_bytes += pair.ByteSize()
        self._pairs.append(pair)
        if self._size_bytes > self._max_bytes:
            self.dropped += len(self._pairs)
            self._pairs, self._size_bytes = [], 0

    def take(self) -> Sequence[telemetry_pb2.ShadowPair]:
        """Return what one message may have, the oldest first."""
        size_bytes = taken = 0
        for pair in self._pairs[:MESSAGE_PAIRS]:
            size_bytes += pair.ByteSize()
            if taken and size_bytes > MESSAGE_BYTES:
                size_bytes -= pair.ByteSize()
                break
            taken += 1
        pairs, self._pairs = self._pairs[:taken], self._pairs[taken:]
        self._size_bytes -= size_bytes
        return pairs


def pair_of(
    resolved: ResolvedRequest,
    answer: Answer,
    shadow: Variant,
    response: batcher_pb2.InferResponse,
) -> telemetry_pb2.ShadowPair:
    """Return a pair, without what either version's contract calls sensitive."""
    served, other = resolved.variant.served, shadow.served
    hidden = served.sensitive_outputs | other.sensitive_outputs
    unsaid = served.sensitive_attributes | other.sensitive_attributes
    attributes = resolved.request.attributes
    return telemetry_pb2.ShadowPair(
        model=resolved.table.model,
        version=served.version,
        shadow_version=other.version,
        prediction_id=answer.prediction_id,
        rows=resolved.layout.rows,
        outputs=without(answer.outputs, hidden),
        shadow_outputs=b"" if response.code else without(response.outputs, hidden),
        shadow_code=response.code,
        took_us=answer.queue_us + answer.compute_us,
        shadow_took_us=response.queue_us + response.compute_us,
        attributes=attributes_text({name: value for name, value in attributes.items() if name.casefold() not in unsaid})
        if attributes
        else "",
    )
