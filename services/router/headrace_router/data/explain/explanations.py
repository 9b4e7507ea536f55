"""Explanations in Valkey, for an hour: written in the background, read by any data plane.

No request waits for them: what does not fit into the queue, or what Valkey does not take, is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, NoReturn

import structlog
from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.fair_share import FairShare, FairTurns, Pool
from headrace_servicekit.identity import Identity
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router import stored_answers
from headrace_router.data.explain.facts import Outcome, explanation
from headrace_router.data.explain.store import MOST_CONNECTIONS, TIMEOUT_S, Store, StoreError
from headrace_router.data.request.request import Call, Request
from headrace_router.data.request.trace import Trace

log = structlog.get_logger()

KEPT_S = 3600
MAX_QUEUED = 1024
# Of one pipeline. Explanations gather for so long, so that one round trip carries several.
BATCH, GATHER_S = 128, 0.02
# A data plane that is asked for another's answer waits this long in all for it to be written.
ASK_AGAIN_S = (0.03, 0.06, 0.12)
# Callers choose request ids; what is longer is found by its prediction id only.
MAX_ID_CHARS = 128


class _Queued(NamedTuple):
    """An explanation on its way. request_ids: what callers know the request by."""

    explanation: predict_pb2.ExplainResponse
    request_ids: tuple[str, ...]
    caller: Identity


class Explanations:
    """The explanations of one data plane's requests, and those of all others'; a prometheus_client collector.

    store: None keeps none. incarnation: of the tables in force, part of every key. data_plane: its id. one_in: so many
    requests are sampled, 0 for none.
    """

    def __init__(
        self, store: Store | None, incarnation: Callable[[], str], *, data_plane: str, one_in: int, clock: Clock
    ) -> None:
        self.clock = clock.monotonic
        self._store, self._incarnation = store, incarnation
        self._data_plane, self._now = data_plane, clock.now
        self.one_in, self._seen = one_in if store is not None else 0, 0
        self._places = FairShare(Pool("explanations", MAX_QUEUED, "TOO_MANY_EXPLANATIONS", retry_after_s=TIMEOUT_S))
        # One connection is left for what is written.
        self._turns = FairTurns(MOST_CONNECTIONS - 1)
        self._queue: dict[str, _Queued] = {}
        """By prediction id, in the order of their coming; those that are being written still stand here."""
        self._arrived = Wakeup()
        self.kept = 0
        self.dropped = {"queue_full": 0, "store": 0}

    def samples(self) -> bool:
        """Return whether the request that begins now is a sample to explain."""
        if not self.one_in:
            return False
        self._seen += 1
        if self._seen < self.one_in:
            return False
        self._seen = 0
        return True

    def pass_over(self, requests: int) -> None:
        """Count requests that could not be explained; another one is in their place."""
        self._seen = min(self._seen + requests, max(self.one_in - 1, 0))

    def keep(self, trace: Trace, request: Request, call: Call, outcome: Outcome) -> None:
        """Write the explanation of a request some time soon, or drop it."""
        if self._store is None:
            return
        try:
            self._places.enter(call.caller)
        except ResourceExhausted:
            self.dropped["queue_full"] += 1
            return
        made = explanation(trace, request, call, outcome, data_plane=self._data_plane, ended_at=self._now())
        # An error names the id of the headers, an answer that of the message where it has one.
        ids = {one: None for one in (request.request_id, call.request_id) if 0 < len(one) <= MAX_ID_CHARS}
        before = self._queue.pop(outcome.prediction_id, None)
        if before is not None:
            self._places.leave(before.caller)
        self._queue[outcome.prediction_id] = _Queued(made, tuple(ids), call.caller)
        self._arrived.wake()

    async def of_prediction(self, prediction_id: str, caller: Identity) -> predict_pb2.ExplainResponse | None:
        """Return the explanation of an answer, None when there is none. Raises Unavailable without Valkey."""
        if not 0 < len(prediction_id) <= MAX_ID_CHARS:
            return None
        key = stored_answers.explanation_key(self._incarnation(), prediction_id)
        for pause_s in (*ASK_AGAIN_S, None):
            waiting = self._queue.get(prediction_id)
            found = waiting.explanation if waiting is not None else _decoded(await self._get(key, caller))
            if found is not None or pause_s is None:
                return found
            await asyncio.sleep(pause_s)
        return None

    async def of_request(self, request_id: str, caller: Identity) -> predict_pb2.ExplainResponse | None:
        """Return the explanation of a request's last answer, likewise."""
        if not 0 < len(request_id) <= MAX_ID_CHARS:
            return None
        key = stored_answers.request_key(self._incarnation(), request_id)
        for pause_s in (*ASK_AGAIN_S, None):
            waiting = next((one for one in reversed(self._queue.values()) if request_id in one.request_ids), None)
            if waiting is not None:
                return waiting.explanation
            prediction_id = await self._get(key, caller)
            if prediction_id:
                return await self.of_prediction(prediction_id.decode(), caller)
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        return None

    async def write(self) -> NoReturn:
        """Write what is queued, for ever."""
        while True:
            if not self._queue:
                await self._arrived.wait()
                continue
            await asyncio.sleep(GATHER_S)
            batch = dict(list(self._queue.items())[:BATCH])
            try:
                await self._put(batch.values())
                self.kept += len(batch)
            except StoreError as error:
                if not self.dropped["store"]:  # the counter tells of the rest
                    log.warning("explanations not stored", reason=str(error))
                self.dropped["store"] += len(batch)
            for prediction_id in batch:
                self._places.leave(self._queue.pop(prediction_id).caller)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        yield CounterMetricFamily("headrace_router_explanations_kept", "Explanations written.", value=self.kept)
        dropped = CounterMetricFamily(
            "headrace_router_explanations_dropped", "Explanations that were not stored, by reason.", labels=("reason",)
        )
        for reason, count in self.dropped.items():
            dropped.add_metric((reason,), count)
        yield dropped

    async def _put(self, batch: Iterable[_Queued]) -> None:
        assert self._store is not None, "without a store nothing is queued"
        await self._store.put(_entries(batch, self._incarnation()), for_s=KEPT_S)

    async def _get(self, key: bytes, caller: Identity) -> bytes | None:
        if self._store is None:
            raise _unreachable()
        try:
            async with self._turns.turn(caller, within_s=TIMEOUT_S):
                return await self._store.get(key)
        except (StoreError, TimeoutError):
            raise _unreachable() from None


def _entries(batch: Iterable[_Queued], incarnation: str) -> Iterator[tuple[bytes, bytes | str]]:
    for one in batch:
        prediction_id = one.explanation.prediction_id
        yield stored_answers.explanation_key(incarnation, prediction_id), one.explanation.SerializeToString()
        for request_id in one.request_ids:
            yield stored_answers.request_key(incarnation, request_id), prediction_id


def _decoded(stored: bytes | None) -> predict_pb2.ExplainResponse | None:
    if stored is None:
        return None
    try:
        return predict_pb2.ExplainResponse.FromString(stored)
    except DecodeError:  # an explanation is not worth an error
        return None


def _unreachable() -> ServiceError:
    return Unavailable(
        "the store of explanations cannot be reached", reason="STORE_UNAVAILABLE", retry_after_s=TIMEOUT_S
    )
