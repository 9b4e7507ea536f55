"""What goes into the predictor and comes out of it, whatever the transport and the protocol.

What is made for each request is not frozen, which takes five times as long; nobody writes to it (decision 210).
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import uuid_utils
from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import Identity

from headrace_router.data.contract import Contract
from headrace_router.data.served import ServedVersion
from headrace_router.data.timing import Marks

NO_CONTRACT = Contract((), ())
NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
# Of a text that names a user, an entity or an attribute.
MAX_TEXT_CHARS = 256
# What callers may say in our own name of the call's subject; the front door removes every other `x-headrace-…`.
USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER = "x-headrace-user-id", "x-headrace-entity-id", "x-headrace-max-age-ms"
EXPLAIN_HEADER = "x-headrace-explain"
CONTEXT_HEADERS = (USER_HEADER, ENTITY_HEADER, MAX_AGE_HEADER, EXPLAIN_HEADER)
# Attributes, or parameters, of one request.
MAX_ATTRIBUTES = 1024


def new_id() -> str:
    """Return a UUIDv7: ids that rise with the time."""
    return str(uuid_utils.uuid7())


class ServedFrom(enum.IntEnum):
    """Where an answer comes from, with the numbers of `PredictResponse.ServedFrom`."""

    ONLINE = 1
    CACHE = 2
    PRECOMPUTED = 3
    STALE = 4
    FALLBACK = 5


class ContextHeaders(NamedTuple):
    """Whom and what a call is about, as its headers say. What the request itself says takes precedence."""

    user_id: str = ""
    entity_id: str = ""
    max_age_s: float | None = None
    explain: bool = False


class Span(Protocol):
    """The span of one call that is recorded."""

    def computing(self, answer: asyncio.Future[Any], pool: str) -> str:
        """Begin the span of a batcher's work, which ends with its answer; return its traceparent."""
        ...

    def end(self, code: str, marks: Marks | None) -> None:
        """End the span with the status that the call was answered with. marks: None for one that is no prediction."""
        ...


@dataclass(slots=True)
class Call:
    """What the transport knows of one call.

    deadline: on the event loop's clock; never infinite. arrived: on the counters' clock.
    traceparent: of a trace that is being recorded, else empty. sampled: whether to log it. parts, part_bytes: that the
    caller was given of an answer in parts, noted by the predictor as they are. span, marks, context: None
    for almost all calls, which are not recorded here, did not ask where their time goes, and say nothing by headers.
    A transport cancels the awaiting task when the caller has gone.
    """

    caller: Identity
    request_id: str
    deadline: float
    arrived: float = 0.0
    traceparent: str = ""
    sampled: bool = False
    span: Span | None = None
    marks: Marks | None = None
    context: ContextHeaders | None = None
    parts: int = 0
    part_bytes: int = 0


@dataclass(slots=True)
class Tensors:
    """The inputs of one request.

    described: (name, datatype, *shape) per tensor, in the caller's order. contents: raw bytes of each, in that order.
    fields: what the caller calls each tensor, for errors; None means `inputs[0]`, `inputs[1]`, … contents_fields: what
    the caller calls its values; None means `raw_input_contents[0]`, … whole: what the caller calls all of them.
    """

    described: tuple[tuple[str | int, ...], ...]
    contents: Sequence[bytes]
    fields: tuple[str, ...] | None = None
    contents_fields: tuple[str, ...] | None = None
    whole: str = "inputs"


@dataclass(slots=True)
class Request:
    """One request for a prediction.

    read: gives the tensors once the version is known: for a contract, and the most rows that are taken. A JSON codec
    needs the contract to know how numbers are written; a codec whose tensors are bytes ignores both.
    version, request_id, user_id, entity_id: empty when not given. outputs: names wanted; empty means all. attributes:
    facts that rules look at. max_age_s: oldest answer that the caller accepts; None leaves it to the route. priority:
    class as in `InferRequest`, 0 for what the caller did not say. explain: whether to keep the explanation. timeout_s:
    from arrival, within the call's deadline.
    """

    model: str
    read: Callable[[Contract, int], Tensors]
    version: str = ""
    request_id: str = ""
    user_id: str = ""
    entity_id: str = ""
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    max_age_s: float | None = None
    priority: int = 0
    explain: bool = False
    timeout_s: float | None = None

    def completed(self, context: ContextHeaders) -> Request:
        """Return the request with what it does not say itself taken from the call's headers."""
        return replace(
            self,
            user_id=self.user_id or context.user_id,
            entity_id=self.entity_id or context.entity_id,
            max_age_s=context.max_age_s if self.max_age_s is None else self.max_age_s,
            explain=self.explain or context.explain,
        )


class Rest(Protocol):
    """What follows the first part of an answer. empty: whether there was none. compute_us: of all, at the end."""

    empty: bool
    compute_us: int

    async def next(self) -> batcher_pb2.InferResponse | None:
        """Return the next part, None behind the last. Raises ServiceError."""
        ...

    def sent(self, size_bytes: int) -> None:
        """Note that a part was given to whoever asked."""
        ...

    def close(self, code: Code | None = None) -> None:
        """End it, wherever it is. code: by which it is counted; None where that is known by what came."""
        ...


@dataclass(slots=True)
class Answer:
    """An answer: what was found, and then what its caller is told besides.

    The look-up says: outputs: as the encoded fields 5 and 6 of PredictResponse. served: the version that computed them;
    None for values that the route gives. layer: that had a stored answer, `memory` or `valkey`. queue_us, compute_us,
    batch_requests: what it took to compute them, 0 when nothing was computed. fallback_step, degraded_reason: the
    fallback that answered and why, if any. lookup_outcome: why nothing kept could be given, for an answer that was
    computed (as in ExplainResponse). shared_execution: whether it was computed for another request with the same key,
    which this one waited for. invalid: computed, with a value that the contract excludes. missing_steps: of a pipeline,
    those that the answer does without. rest: of an answer in parts, of which this is the first; None for one that has
    none.

    The predictor adds, and it alone: model, contract: whose outputs these are. version: id of the one that computed
    them; empty for values that the route gives. variant: empty for a pinned version. rule: that chose the variant, if
    any. took_s: since the call arrived. part: position among the parts.
    """

    outputs: bytes
    served_from: ServedFrom
    served: ServedVersion | None
    age_ms: int = 0
    layer: str = ""
    queue_us: int = 0
    compute_us: int = 0
    fallback_step: str = ""
    degraded_reason: str = ""
    lookup_outcome: str = ""
    shared_execution: bool = False
    batch_requests: int = 0
    invalid: bool = False
    missing_steps: tuple[str, ...] = ()
    rest: Rest | None = None

    model: str = ""
    contract: Contract = NO_CONTRACT
    version: str = ""
    variant: str = ""
    rule: str = ""
    generation: int = 0
    request_id: str = ""
    prediction_id: str = ""
    took_s: float = 0.0
    part: int = 0
