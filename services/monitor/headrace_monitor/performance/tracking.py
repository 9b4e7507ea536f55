"""How good predictions of a time were: the log is read file by file, joined with outcomes, and only sums are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace_servicekit.errors import DeadlineExceeded
from headrace_servicekit.fair_share import FairTurns

from headrace_monitor.log.contracts import ContractSource
from headrace_monitor.log.reader import Reader
from headrace_monitor.outcomes.store import OutcomeStore
from headrace_monitor.performance.classes import Classes
from headrace_monitor.performance.joining import COLUMNS, FEATURE, About, Facts, Group, facts_of, summaries_of
from headrace_monitor.performance.probabilities import score_columns
from headrace_monitor.performance.records import answered_in, batches
from headrace_monitor.performance.store import PerformanceStore
from headrace_monitor.performance.summaries import Summary

if TYPE_CHECKING:
    import pyarrow as pa

# Each holds one file of the log and one batch of its rows in memory.
AT_ONCE = 2
MAX_S = 60.0
NO_MATCHES: Facts = {}


@dataclass(frozen=True, slots=True)
class Question:
    """Which predictions are asked about. version: empty means each. threshold: None means what scores are made for."""

    model: str
    start: datetime
    end: datetime
    version: str = ""
    slice_by: str = ""
    threshold: float | None = None


@dataclass(slots=True)
class Answer:
    """Sums by version, variant and slice, and what was known of the versions."""

    groups: dict[Group, Summary] = field(default_factory=dict)
    about: dict[str, About] = field(default_factory=dict)

    def add(self, found: Mapping[Group, Summary]) -> None:
        """Take in what one batch of rows says."""
        for group, summary in found.items():
            before = self.groups.get(group)
            self.groups[group] = summary if before is None else before.merge(summary)


class Joins:
    """Yields rows of the log with what is told of them."""

    def __init__(self, log: Reader, outcomes: OutcomeStore) -> None:
        self._log, self._outcomes = log, outcomes

    async def each(
        self, question: Question, columns: Callable[[str], Awaitable[Sequence[str]]]
    ) -> AsyncIterator[tuple[pa.RecordBatch, Facts]]:
        """Yield (records, facts about them) of a time, a bounded number at once.

        columns: says what else to read of a version's files.
        """
        version = question.version or None
        for file in await self._log.files(question.model, version, question.start, question.end):
            try:
                content = await self._log.content(file)
            except LookupError:
                continue  # retention took it while we read
            parts = batches(content, (*await columns(file.version), *COLUMNS))
            while (batch := await asyncio.to_thread(_next, parts, question)) is not None:
                if batch.num_rows:
                    yield batch, await self._facts(question.model, batch)

    async def _facts(self, model: str, batch: pa.RecordBatch) -> Facts:
        import pyarrow.compute as pc

        ids = batch.column("prediction_id")
        extremes = pc.min_max(ids).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        first, last = UUID(extremes["min"]), UUID(extremes["max"])
        if not await self._outcomes.any_between(model, first, UUID(int=min(last.int + 1, 2**128 - 1))):
            return NO_MATCHES
        return facts_of(await self._outcomes.among(model, list(dict.fromkeys(ids.to_pylist()))))


class Tracker:
    """Answers how good predictions were."""

    def __init__(self, joins: Joins, kept: PerformanceStore, contracts: ContractSource) -> None:
        self._joins, self._kept, self._contracts = joins, kept, contracts
        self._turns = FairTurns(AT_ONCE)

    async def answer(self, question: Question, *, within_s: float | None = None) -> Answer:
        """Return what is known of the predictions of a time. Raises DeadlineExceeded."""
        limit = MAX_S if within_s is None else min(within_s, MAX_S)
        try:
            async with asyncio.timeout(limit), self._turns.turn():
                return await self._answer(question)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the predictions of {question.start.isoformat()} to {question.end.isoformat()} were not read within "
                f"{limit:g} s; ask for a shorter range, or allow more time",
                reason="RANGE_TOO_LONG",
            ) from None

    async def _answer(self, question: Question) -> Answer:
        answer, slices = Answer(), set[str]()
        sliced = (FEATURE + question.slice_by, "attributes") if question.slice_by else ()

        async def columns(version: str) -> Sequence[str]:
            if version not in answer.about:
                answer.about[version] = await self.about(question.model, version)
            scores = answer.about[version].scores
            return (*sliced, *(() if scores is None else scores.names))

        async for batch, facts in self._joins.each(question, columns):
            found = await asyncio.to_thread(
                summaries_of,
                batch,
                facts,
                answer.about,
                slice_by=question.slice_by,
                threshold=question.threshold,
                known_slices=slices,
            )
            answer.add(found)
        return answer

    async def about(self, model: str, version: str) -> About:
        """Return what is known of a version."""
        if not version:
            return About(Classes())
        known = await self._contracts.get(model, version)
        calibration = await self._kept.calibration(model, version)
        if known is None:
            return About(Classes(), calibration)
        scores = score_columns(known.contract, known.outputs)
        return About(Classes(tuple(known.contract.labels)), calibration, scores)


def _next(parts: Iterator[Any], question: Question) -> Any:
    batch = next(parts, None)
    return None if batch is None else answered_in(batch, question.start, question.end)
