"""Where the predictions of a moment wait to be encoded: one append for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from headrace_router.data.answer.answer import Answer
from headrace_router.data.reporting.decisions.sampling import bound_of
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import RecordedStep
from headrace_router.data.tables.table import POINTS, Table, Variant, point_of, unit_of
from headrace_router.rules import NO_ATTRIBUTES

# What a record takes beside its values, about; so that the number of records is bounded too.
RECORD_BYTES = 1024
# The encoder is woken when it has so many bytes: memory that was used just now is quicker to reach.
WAKE_BYTES = 256 * RECORD_BYTES

# Reasons for which predictions are in no batch.
BUFFER_FULL, BATCH_REFUSED, TOO_LARGE, NOT_ENCODED = "BUFFER_FULL", "BATCH_REFUSED", "TOO_LARGE", "NOT_ENCODED"


def new_drops() -> Counter[str]:
    """Return counts of dropped predictions by reason, none yet."""
    return Counter(dict.fromkeys((BUFFER_FULL, BATCH_REFUSED, TOO_LARGE, NOT_ENCODED), 0))


class Record(NamedTuple):
    """What is recorded of one answered prediction: not the request, whose message is free to go.

    arrived: on the counters' clock. variant: that answered; of what a member of a pipeline computed, its step.
    """

    table: Table
    variant: Variant | RecordedStep
    layout: Layout
    inputs: Sequence[bytes]
    user_id: str
    entity_id: str
    attributes: Mapping[str, str]
    arrived: float
    answer: Answer


Row = tuple[Table, Variant | RecordedStep, Layout, Sequence[bytes], str, str, Mapping[str, str], float, Answer]
"""A record without names, made in a third of the time."""


def predictions_of(records: Iterable[Row]) -> int:
    """Return how many are predictions: what members of pipelines computed has no caller."""
    return sum(not isinstance(row[1], RecordedStep) for row in records)


class RecordedPredictions(NamedTuple):
    """Recorded predictions. values_bytes: of all values in them, about. probability: with which each is among them."""

    records: list[Row]
    values_bytes: int
    probability: float


class Recorder:
    """Takes answered predictions, at most so many bytes until the encoder takes them.

    A unit is in or out as a whole: the one that the variant is chosen for, also where none was chosen. wake: called
    when enough of them are there for it.
    """

    def __init__(self, max_bytes: int, dropped: Counter[str], wake: Callable[[], object]) -> None:
        self._wake_bytes, self._max_bytes = min(WAKE_BYTES, max_bytes), max_bytes
        self._dropped, self._wake = dropped, wake
        self._records: list[Row] = []
        self._limit = self._wake_bytes
        self._probability, self._below = 1.0, POINTS
        self.size_bytes = 0
        """Of what waits."""
        self.left_out = 0
        """Predictions of units that were not to be recorded."""

    def add(self, resolved: ResolvedRequest, answer: Answer) -> None:
        """Keep one answered prediction, leave it out, or drop it."""
        layout, inputs, request = resolved.layout, resolved.inputs, resolved.request
        if self._below < POINTS and self._is_out(resolved, answer.request_id):
            self.left_out += 1
            return
        size_bytes = layout.size_bytes
        if size_bytes < 0:
            size_bytes = sum(map(len, inputs))
        size_bytes += len(answer.outputs) + RECORD_BYTES
        self.size_bytes += size_bytes
        if self.size_bytes > self._limit and self._is_full(size_bytes):
            return
        attributes = request.attributes
        self._records.append(
            (
                resolved.table,
                resolved.variant,
                layout,
                inputs,
                request.user_id,
                request.entity_id,
                dict(attributes) if attributes else NO_ATTRIBUTES,  # a message's own would hold all of it
                resolved.call.arrived,
                answer,
            )
        )

    def add_step(
        self,
        step: RecordedStep,
        asked: ResolvedRequest,
        layout: Layout,
        inputs: Sequence[bytes],
        answer: Answer,
        arrived: float,
    ) -> None:
        """Keep what a member of a pipeline computed for a request, if the unit of that is in."""
        if self._below < POINTS and self._is_out(asked, answer.request_id):
            return
        size_bytes = sum(map(len, inputs)) + len(answer.outputs) + RECORD_BYTES
        self.size_bytes += size_bytes
        if self.size_bytes > self._limit and self._is_full(size_bytes, predictions=0):
            return
        request = asked.request
        attributes = dict(request.attributes) if request.attributes else NO_ATTRIBUTES
        self._records.append(
            (asked.table, step, layout, inputs, request.user_id, request.entity_id, attributes, arrived, answer)
        )

    def take(self, probability: float) -> RecordedPredictions:
        """Return what was added since the last time. From now on units are recorded with this probability."""
        values_bytes = self.size_bytes - RECORD_BYTES * len(self._records)
        taken = RecordedPredictions(self._records, values_bytes, self._probability)
        self._records, self.size_bytes, self._limit = [], 0, self._wake_bytes
        self._probability, self._below = probability, bound_of(probability)
        return taken

    def _is_out(self, resolved: ResolvedRequest, request_id: str) -> bool:
        """Return whether the unit of a request is not to be recorded."""
        unit = unit_of(
            resolved.table.unit,
            user_id=resolved.request.user_id,
            entity_id=resolved.request.entity_id,
            request_id=request_id,
        )
        return point_of(unit) >= self._below

    def _is_full(self, size_bytes: int, predictions: int = 1) -> bool:
        """Make room for a record, and return whether there is none: not even when everything else is dropped.

        predictions: 0 for that of a step, which is not counted among those that are dropped.
        """
        if self._limit < self._max_bytes:
            self._limit = self._max_bytes
            self._wake()
            if self.size_bytes <= self._max_bytes:
                return False
        # The oldest go, all at once: to look for those that would do takes longer than a request has.
        self._dropped[BUFFER_FULL] += predictions_of(self._records)
        self._records.clear()
        self.size_bytes = size_bytes
        if size_bytes <= self._max_bytes:
            return False
        self._dropped[BUFFER_FULL] += predictions
        self.size_bytes = 0
        return True
