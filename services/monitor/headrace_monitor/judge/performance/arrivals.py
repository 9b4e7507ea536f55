"""Process new outcomes: each label feeds its version's error-rate detector once, and its hour is evaluated again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.claims import WorkClaims
from headrace_servicekit.postgres.connections import Connections

from headrace_monitor import names
from headrace_monitor.alert.observations import Observation, Observations
from headrace_monitor.judge.performance.decisions import error_rate
from headrace_monitor.judge.performance.decisions.error_rate import ErrorRateDetector
from headrace_monitor.judge.performance.store import SQL
from headrace_monitor.record.log.contracts import ContractSource
from headrace_monitor.record.log.decisions.class_names import Classes
from headrace_monitor.record.log.reader import Reader, batches
from headrace_monitor.record.outcomes.decisions import entities
from headrace_monitor.record.outcomes.decisions.entities import Delays
from headrace_monitor.record.outcomes.metrics import OutcomeMetrics
from headrace_monitor.record.outcomes.postgres import SQL as OUTCOME_SQL

CLAIMED = 5000
_CLAIMS = WorkClaims(
    "outcome_arrivals",
    {"id": "bigint"},
    due="next_try <= $3",
    order="next_try, id",
    lease=timedelta(minutes=10),  # longer than a step takes
    group="model",
    queue="next_try",
)
# An answer comes after its id was made, and clocks of one data plane may be set meanwhile.
ANSWER_WITHIN = timedelta(minutes=10)
_INSTANT = timedelta(milliseconds=1)

SIGNAL = "error_rate_change"

_COLUMNS = ("prediction_id", "row", "answer_time", "version", "prediction_label", "prediction_value")


@dataclass(frozen=True, slots=True)
class Arrival:
    """An outcome that is new, or corrected (`first` is False)."""

    id: int
    prediction_id: UUID
    row: int
    kind: str
    first: bool
    arrive_time: datetime

    @property
    def feeds(self) -> bool:
        """Return whether the detector takes it: labels only, and not again when they are corrected."""
        return self.first and self.kind == "label"


class Prediction(NamedTuple):
    """A row of the log. label: the predicted class; None where none is predicted. value: the quantity, or a score."""

    version: str
    answer_time: datetime
    label: str | None
    value: float | None


class ArrivalProcessor:
    """Processes arrivals. Several replicas may do it at once: each arrival is processed once, in one transaction.

    evaluate_after: delay from the first label of an hour to its evaluation, so that not every label causes one.
    run_length: labels between false alarms of an error rate, on average at least.
    """

    def __init__(
        self,
        connections: Connections,
        log: Reader,
        contracts: ContractSource,
        delays: Delays,
        metrics: OutcomeMetrics,
        clock: Clock,
        *,
        evaluate_after: timedelta,
        run_length: float,
    ) -> None:
        self._connections, self._log, self._contracts = connections, log, contracts
        self._delays, self._metrics, self._clock = delays, metrics, clock
        self._evaluate_after, self._run_length = evaluate_after, run_length

    async def step(self) -> None:
        """Process what is due, model by model."""
        await _CLAIMS.work_off(self._connections, self._process, limit=CLAIMED, arguments=lambda: (self._clock.now(),))

    async def _process(self, claimed: Sequence[Any]) -> None:
        model, now = claimed[0]["model"], self._clock.now()
        arrivals = [_arrival(row) for row in claimed]
        feeding = [one for one in arrivals if one.feeds]
        found = await self._found(model, feeding)
        classes = {version: await self._classes(model, version) for version in {one.version for one in found.values()}}
        late = {one.id for one in feeding if one.id not in found and now >= one.arrive_time + self._delays.give_up}
        later = [one for one in feeding if one.id not in found and one.id not in late]
        done = [one for one in arrivals if not one.feeds or one.id in found or one.id in late]
        async with self._connections.transaction() as connection:
            taken = await connection.fetch(OUTCOME_SQL["take_arrivals"], [one.id for one in done])
            outcomes = {row["id"]: row["number"] if row["text"] is None else row["text"] for row in taken}
            since = min(one.arrive_time for one in arrivals)
            await self._feed(connection, model, outcomes, found, classes, since, now)
            hours = {_hour(one, found) for one in done if one.id in outcomes and one.id not in late}
            await connection.execute(OUTCOME_SQL["touch_hours"], model, sorted(hours), now + self._evaluate_after)
            times = {one.id: now + entities.pause(now - one.arrive_time) for one in later}
            waiting = [row for row in claimed if row["id"] in times]
            await _CLAIMS.postpone(connection, waiting, [times[row["id"]] for row in waiting])
        given_up = len(late & outcomes.keys())
        self._metrics.joined("prediction", found=len(found.keys() & outcomes.keys()), given_up=given_up)

    async def _feed(
        self,
        connection: Any,
        model: str,
        outcomes: dict[int, float | str],
        found: dict[int, Prediction],
        classes: dict[str, Classes],
        since: datetime,
        now: datetime,
    ) -> None:
        """Feed labels to the detectors in the order of arrival. since: when the first one came."""
        errors, sizes = _compared(outcomes, found, classes)
        observed = []
        for version in sorted({*errors, *sizes}):  # in one order, or two replicas would wait for each other
            fresh = error_rate.to_text(error_rate.new())
            row = await connection.fetchrow(SQL["open_watch"], model, version, fresh, now)
            state = error_rate.from_text(row["state"])
            state = await asyncio.to_thread(self._taken, state, errors[version], sizes[version])
            await connection.execute(SQL["save_watch"], model, version, error_rate.to_text(state), now)
            observed.append(
                Observation(
                    *(model, version, SIGNAL, min(since, now - _INSTANT), now, state.rise),
                    *(state.severity, state.sentence, len(errors[version]) + len(sizes[version])),
                )
            )
        await Observations.put(connection, observed)

    def _taken(self, state: ErrorRateDetector, errors: Sequence[bool], sizes: Sequence[float]) -> ErrorRateDetector:
        state = error_rate.take(state, errors, run_length=self._run_length)
        return error_rate.take_sizes(state, sizes, run_length=self._run_length)

    async def _found(self, model: str, arrivals: Sequence[Arrival]) -> dict[int, Prediction]:
        """Return the rows of the log that labels are about, by arrival."""
        wanted = {(str(one.prediction_id), one.row): one for one in arrivals}
        by_hour: dict[datetime, list[str]] = defaultdict(list)
        for one in arrivals:
            by_hour[_floor(names.prediction_time(one.prediction_id))].append(str(one.prediction_id))
        found: dict[int, Prediction] = {}
        for hour, named in sorted(by_hour.items()):
            end = hour + timedelta(hours=1) + ANSWER_WITHIN
            for file in await self._log.files(model, None, hour - ANSWER_WITHIN, end):
                try:
                    content = await self._log.content(file)
                except LookupError:
                    continue  # retention took it while we read
                for key, prediction in (await asyncio.to_thread(_rows, content, named)).items():
                    if key in wanted:
                        found[wanted[key].id] = prediction
        return found

    async def _classes(self, model: str, version: str) -> Classes:
        known = await self._contracts.get(model, version) if version else None
        return Classes() if known is None else Classes(tuple(known.contract.labels))


def _compared(
    outcomes: Mapping[int, float | str], found: Mapping[int, Prediction], classes: Mapping[str, Classes]
) -> tuple[dict[str, list[bool]], dict[str, list[float]]]:
    """Return, by version and in the order of arrival, which classes were wrong and how far quantities were off."""
    errors: dict[str, list[bool]] = defaultdict(list)
    sizes: dict[str, list[float]] = defaultdict(list)
    for place in sorted(outcomes):
        prediction = found.get(place)
        if prediction is None or not prediction.version:
            continue
        if prediction.label is not None:
            word = classes[prediction.version].word(outcomes[place])
            errors[prediction.version].append(word != prediction.label)
        elif prediction.value is not None:
            size = error_rate.size_of(prediction.value, outcomes[place])
            if size is not None:
                sizes[prediction.version].append(size)
    return errors, sizes


def _rows(content: bytes, named: Sequence[str]) -> dict[tuple[str, int], Prediction]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(named)
    found = {}
    for batch in batches(content, _COLUMNS):
        known = batch.filter(pc.is_in(batch.column("prediction_id"), wanted))  # pyright: ignore[reportAttributeAccessIssue]
        for row in known.to_pylist():
            columns = (row.get("prediction_label"), row.get("prediction_value"))
            found[row["prediction_id"], row["row"]] = Prediction(row["version"] or "", row["answer_time"], *columns)
    return found


def _arrival(row: Any) -> Arrival:
    return Arrival(*(row["id"], row["prediction_id"], row["row_number"], row["kind"], row["first"], row["arrive_time"]))


def _hour(arrival: Arrival, found: dict[int, Prediction]) -> datetime:
    """Return the hour of the prediction: of its answer where that is known, else of its id, made just before."""
    prediction = found.get(arrival.id)
    return _floor(names.prediction_time(arrival.prediction_id) if prediction is None else prediction.answer_time)


def _floor(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)
