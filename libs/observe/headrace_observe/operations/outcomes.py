"""Outcomes: labels, rewards and conversions, reported after the predictions."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.monitor.v1 import outcome_pb2
from headrace_client.calls import Operation, Session, invoke
from headrace_client.errors import FieldViolation, InvalidArgument, invalid

DEFAULT_TIMEOUT_S = 30.0
AT_ONCE = 2_000

_FIELD = re.compile(r"outcomes\[(\d+)\](?:\.(.+))?")
_RESULTS = {
    outcome_pb2.RecordOutcomesResponse.RESULT_RECORDED: "recorded",
    outcome_pb2.RecordOutcomesResponse.RESULT_REPEATED: "repeated",
    outcome_pb2.RecordOutcomesResponse.RESULT_OUTDATED: "outdated",
    outcome_pb2.RecordOutcomesResponse.RESULT_WAITING: "waiting",
    outcome_pb2.RecordOutcomesResponse.RESULT_REJECTED: "rejected",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fact about one prediction.

    value: a number (a label of a regression, the index of a class, a reward; 1 or 0 for a conversion) or the name of a
    class. prediction_id or entity_id: what it is about. kind: `label`, `reward`, `conversion` or a name of your own.
    row: of a prediction of several rows. observed_at: when it became true; None is now. A later one corrects it.
    """

    value: float | str
    prediction_id: str = ""
    entity_id: str = ""
    kind: str = "label"
    row: int = 0
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An outcome that was not recorded. index: its place, from 0. field: what is wrong with it."""

    index: int
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of outcomes: how many were recorded, repeated, outdated, waiting, rejected."""

    counts: Counter[str]
    rejected: tuple[Rejected, ...]


def record_outcome(
    session: Session,
    model: str,
    value: float | str,
    *,
    prediction_id: str = "",
    entity_id: str = "",
    kind: str = "label",
    row: int = 0,
    observed_at: datetime | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[Recorded]:
    """Record what became of one prediction. Raises InvalidArgument where it cannot be."""
    outcome = Outcome(value, prediction_id, entity_id, kind, row, observed_at)
    recorded = yield from record_outcomes(session, model, [outcome], timeout=timeout)
    if recorded.rejected:
        violations = [FieldViolation(one.field, one.description) for one in recorded.rejected]
        message = f"{violations[0].field}: {violations[0].description}"
        raise InvalidArgument(message, reason="OUTCOME_REJECTED", violations=violations)
    return recorded


def record_outcomes(
    session: Session,
    model: str,
    outcomes: Iterable[Outcome],
    *,
    entity_window: timedelta | None = None,
    progress: Callable[[int], None] | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
) -> Operation[Recorded]:
    """Record what became of predictions, and return what became of each outcome.

    Repeating it is safe where observed_at is given: what is recorded counts once. entity_window: how old the
    prediction may be that an entity's outcome joins; None is 24 hours. progress: gets the outcomes sent so far.
    timeout: seconds for each request of at most 2,000. Raises a HeadraceError; what was sent before it is recorded.
    """
    counts: Counter[str] = Counter()
    rejected: list[Rejected] = []
    waiting, sent = iter(outcomes), 0
    while some := list(itertools.islice(waiting, AT_ONCE)):
        request = outcome_pb2.RecordOutcomesRequest(
            parent=f"models/{model}", outcomes=[_message(outcome, sent + at) for at, outcome in enumerate(some)]
        )
        if entity_window is not None:
            request.entity_window.FromTimedelta(entity_window)
        answer = yield from invoke(session, outcome_pb2.RecordOutcomesResponse, request, timeout_s=timeout)
        counts.update(_RESULTS.get(result, "unknown") for result in answer.results)
        rejected += (_rejected(one, sent) for one in answer.rejections)
        sent += len(some)
        if progress is not None:
            progress(sent)
    return Recorded(counts, tuple(rejected))


def _message(outcome: Outcome, index: int) -> outcome_pb2.Outcome:
    made = outcome_pb2.Outcome(
        prediction_id=outcome.prediction_id, entity_id=outcome.entity_id, kind=outcome.kind, row=outcome.row
    )
    if isinstance(outcome.value, str):
        made.text = outcome.value
    else:
        made.number = outcome.value
    if outcome.observed_at is not None:
        if outcome.observed_at.tzinfo is None:
            raise invalid(f"outcomes[{index}].observed_at", "has no zone: datetime.now(UTC), or .astimezone()")
        made.observe_time.FromDatetime(outcome.observed_at.astimezone(UTC))
    return made


def _rejected(rejection: outcome_pb2.RecordOutcomesResponse.Rejection, sent: int) -> Rejected:
    found = _FIELD.fullmatch(rejection.field)
    if found is None:
        return Rejected(sent, rejection.field, rejection.description)
    return Rejected(sent + int(found[1]), found[2] or "", rejection.description)
