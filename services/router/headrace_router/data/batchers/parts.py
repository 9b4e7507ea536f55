"""Answers in parts: they are neither stored nor shared, and each continues while its caller takes parts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from headrace.batcher.v1 import batcher_pb2
from headrace_servicekit.errors import Code, ServiceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace_router.data.answer.answer import Answer
from headrace_router.data.answer.refusals import deadline_exceeded, error_of, too_many_answers
from headrace_router.data.batchers.work import Online, PartBuffer, Work, computed, work_of
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.table import Variant

IN_PARTS = "ANSWERS_IN_PARTS"


class AnswersInParts:
    """Begins answers; a prometheus_client collector.

    max_per_client, max_per_model: answers at a time of one client, and to one model.
    """

    def __init__(
        self, online: Online, *, max_per_client: int, max_per_model: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._online, self._loop = online, loop
        self._max_per_client, self._max_per_model = max_per_client, max_per_model
        self._of_client: Counter[str] = Counter()
        self._of_model: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._parts: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()

    async def begin(self, resolved: ResolvedRequest, variant: Variant, deadline: float) -> Answer:
        """Return the first part, by a deadline on the loop's clock; `rest` has the others. Raises ServiceError."""
        client, model = resolved.call.caller.client, resolved.table.model
        if self._of_client[client] >= self._max_per_client:
            raise too_many_answers(f"of one client: {self._max_per_client}")
        if self._of_model[model] >= self._max_per_model:
            raise too_many_answers(f"to one model: {self._max_per_model}")
        if resolved.call.marks is not None:
            resolved.call.marks.end_lookup()
        work = work_of(resolved, variant, max(deadline, resolved.call.deadline), self._loop)
        work.parts, work.hedged = PartBuffer(work.answer), None
        rest = Rest(self, self._online, work, client, model, variant.served.version)
        self._of_client[client] += 1
        self._of_model[model] += 1
        try:
            self._online.submit((work,))
            async with asyncio.timeout_at(deadline):
                return await rest.first(variant)
        except TimeoutError:
            rest.close(Code.DEADLINE_EXCEEDED)
            raise deadline_exceeded() from None
        except BaseException:
            rest.close()
            raise

    def sent(self, model: str, version: str, size_bytes: int) -> None:
        """Count a part that was taken."""
        self._parts[model, version] += 1
        self._bytes[model, version] += size_bytes

    def ended(self, client: str, model: str, version: str, code: Code) -> None:
        """Let another answer begin in the place of one that ended."""
        self._ended[model, version, code.name] += 1
        for counts, key in ((self._of_client, client), (self._of_model, model)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families. Called by prometheus_client."""
        active = "headrace_router_answers_in_parts_active"
        gauge = GaugeMetricFamily(active, "Streamed answers in progress.", labels=("model",))
        for model, count in self._of_model.items():
            gauge.add_metric((model,), count)
        yield gauge
        labels = ("model", "version")
        parts = CounterMetricFamily("headrace_router_parts", "Parts of answers that were taken.", labels=labels)
        size = CounterMetricFamily("headrace_router_part_bytes", "Bytes of these parts.", labels=labels)
        for key, count in self._parts.items():
            parts.add_metric(key, count)
            size.add_metric(key, self._bytes[key])
        yield from (parts, size)
        description = "Answers in parts that ended, by status."
        ended = CounterMetricFamily("headrace_router_answers_in_parts", description, labels=(*labels, "code"))
        for names, count in self._ended.items():
            ended.add_metric(names, count)
        yield ended


class Rest:
    """What follows the first part of one answer.

    queue_us, compute_us: of the whole answer, once it has ended. empty: whether there was no part at all.
    """

    __slots__ = (
        "_answers",
        "_client",
        "_closed",
        "_code",
        "_model",
        "_online",
        "_version",
        "_work",
        "compute_us",
        "empty",
    )

    def __init__(
        self, answers: AnswersInParts, online: Online, work: Work, client: str, model: str, version: str
    ) -> None:
        self._answers, self._online, self._work = answers, online, work
        self._client, self._model, self._version = client, model, version
        self._closed, self._code = False, Code.CANCELLED
        self.compute_us, self.empty = 0, False

    async def first(self, variant: Variant) -> Answer:
        """Return the first part as an answer, an empty one where there is none. Raises ServiceError."""
        response = await self._take()
        self.empty = not response.more
        answer = computed(variant, response, IN_PARTS)
        answer.rest = self
        return answer

    async def next(self) -> batcher_pb2.InferResponse | None:
        """Return the next part, None behind the last. Raises ServiceError."""
        if self._code is Code.OK:
            return None
        response = await self._take()
        return response if response.more else None

    def sent(self, size_bytes: int) -> None:
        """Note that the caller took a part: the model may make another one."""
        self._answers.sent(self._model, self._version, size_bytes)
        self._work.taken()

    def close(self, code: Code | None = None) -> None:
        """End it, wherever it is: what makes more parts is withdrawn."""
        if self._closed:
            return
        self._closed = True
        if not self._work.answer.done():
            self._online.withdraw(self._work)
            self._work.answer.cancel()  # which ends its span
        self._work.trace = None  # which holds the answer, and so this: all would wait for the garbage collector
        self._answers.ended(self._client, self._model, self._version, code or self._code)

    async def _take(self) -> batcher_pb2.InferResponse:
        assert self._work.parts is not None
        try:
            response = await self._work.parts.take()
            if response.code:
                raise error_of(response)
        except ServiceError as error:
            self._code = error.code
            raise
        self.compute_us = response.compute_us
        if not response.more:
            self._code = Code.OK
        return response


def following(answer: Answer, response: batcher_pb2.InferResponse) -> Answer:
    """Return the part behind an answer: the same in all but what it holds."""
    return replace(
        answer,
        outputs=response.outputs,
        part=answer.part + 1,
        compute_us=response.compute_us,
        invalid=answer.invalid or response.invalid_rows > 0,
    )
