"""Compute the performance of a time range: read the log file by file, join it with outcomes, and sum up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace_servicekit.errors import DeadlineExceeded
from headrace_servicekit.fair_share import FairTurns

from headrace_monitor.judge.performance.decisions.joins import (
    COLUMNS,
    FEATURE,
    Group,
    VersionInfo,
    features_of,
    follows_features,
    summaries_of,
)
from headrace_monitor.judge.performance.decisions.probabilities import score_columns
from headrace_monitor.judge.performance.decisions.summaries import Summary
from headrace_monitor.judge.performance.store import PerformanceStore
from headrace_monitor.judge.references.feature_codes import coding_of
from headrace_monitor.judge.references.store import References
from headrace_monitor.record.log.contracts import ContractSource
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_monitor.record.log.reader import Reader, answered_in, batches
from headrace_monitor.record.outcomes.store import OutcomeStore, ValuesByRow

if TYPE_CHECKING:
    import pyarrow as pa

# Each holds one file of the log and one batch of its rows in memory.
AT_ONCE = 2
MAX_S = 60.0
NO_MATCHES: ValuesByRow = {}


@dataclass(frozen=True, slots=True)
class PerformanceQuery:
    """Which predictions to evaluate. version: empty means each. threshold: None means the default."""

    model: str
    start: datetime
    end: datetime
    version: str = ""
    slice_by: str = ""
    threshold: float | None = None


@dataclass(slots=True)
class PerformanceResult:
    """Sums by version, variant and slice, and what is known of the versions."""

    groups: dict[Group, Summary] = field(default_factory=dict)
    about: dict[str, VersionInfo] = field(default_factory=dict)

    def add(self, found: Mapping[Group, Summary]) -> None:
        """Add the sums of one batch of rows."""
        for group, summary in found.items():
            before = self.groups.get(group)
            self.groups[group] = summary if before is None else before.merge(summary)


class OutcomeJoiner:
    """Yields rows of the log with their outcomes."""

    def __init__(self, log: Reader, outcomes: OutcomeStore) -> None:
        self._log, self._outcomes = log, outcomes

    async def each(
        self, query: PerformanceQuery, columns: Callable[[str], Awaitable[Sequence[str]]]
    ) -> AsyncIterator[tuple[pa.RecordBatch, ValuesByRow]]:
        """Yield (records, outcomes about them) of a time, a bounded number at once.

        columns: says what else to read of a version's files.
        """
        version = query.version or None
        for file in await self._log.files(query.model, version, query.start, query.end):
            try:
                content = await self._log.content(file)
            except LookupError:
                continue  # retention took it while we read
            parts = batches(content, (*await columns(file.version), *COLUMNS))
            while (batch := await asyncio.to_thread(_next, parts, query)) is not None:
                if batch.num_rows:
                    yield batch, await self._outcomes_of(query.model, batch)

    async def _outcomes_of(self, model: str, batch: pa.RecordBatch) -> ValuesByRow:
        import pyarrow.compute as pc

        ids = batch.column("prediction_id")
        extremes = pc.min_max(ids).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        first, last = UUID(extremes["min"]), UUID(extremes["max"])
        if not await self._outcomes.any_between(model, first, UUID(int=min(last.int + 1, 2**128 - 1))):
            return NO_MATCHES
        return await self._outcomes.values_of(model, list(dict.fromkeys(ids.to_pylist())))


class PerformanceCalculator:
    """Computes the performance of predictions."""

    def __init__(
        self, joins: OutcomeJoiner, kept: PerformanceStore, contracts: ContractSource, references: References
    ) -> None:
        self._joins, self._kept, self._contracts, self._references = joins, kept, contracts, references
        self._turns = FairTurns(AT_ONCE)

    async def answer(self, query: PerformanceQuery, *, within_s: float | None = None) -> PerformanceResult:
        """Return the sums of a time range. Raises DeadlineExceeded."""
        limit = MAX_S if within_s is None else min(within_s, MAX_S)
        try:
            async with asyncio.timeout(limit), self._turns.turn():
                return await self._answer(query)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the predictions of {query.start.isoformat()} to {query.end.isoformat()} were not read within "
                f"{limit:g} s; ask for a shorter range, or allow more time",
                reason="RANGE_TOO_LONG",
            ) from None

    async def _answer(self, query: PerformanceQuery) -> PerformanceResult:
        answer, slices = PerformanceResult(), set[str]()
        sliced = (FEATURE + query.slice_by, "attributes") if query.slice_by else ()

        async def columns(version: str) -> Sequence[str]:
            if version not in answer.about:
                answer.about[version] = await self.about(query.model, version)
            about = answer.about[version]
            features = () if query.slice_by or not follows_features(about) else features_of(about)
            return (*sliced, *features, *(() if about.scores is None else about.scores.names))

        async for batch, outcomes in self._joins.each(query, columns):
            found = await asyncio.to_thread(
                summaries_of,
                batch,
                outcomes,
                answer.about,
                slice_by=query.slice_by,
                threshold=query.threshold,
                known_slices=slices,
            )
            answer.add(found)
        return answer

    async def about(self, model: str, version: str) -> VersionInfo:
        """Return what is known of a version."""
        if not version:
            return VersionInfo(Classes())
        known = await self._contracts.get(model, version)
        calibration = await self._kept.calibration(model, version)
        if known is None:
            return VersionInfo(Classes(), calibration)
        scores = score_columns(known.contract, known.outputs)
        frozen = await self._references.current(model, version)
        coding = None if frozen is None else coding_of(frozen.monitored, frozen.reference.columns)
        return VersionInfo(Classes(tuple(known.contract.labels)), calibration, scores, coding)


def _next(parts: Iterator[Any], query: PerformanceQuery) -> Any:
    batch = next(parts, None)
    return None if batch is None else answered_in(batch, query.start, query.end)
