"""How good each version of the digits was, once the labels came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from headrace.monitor.v1 import monitor_pb2
from headrace_client import Client
from headrace_observe import Outcome

from examples.digits.register import MODEL
from examples.digits.traffic import Answer

# From the answer into the log, and from there into measures; on a busy machine it takes a while.
_PATIENCE_S = 60.0
_EVERY_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one version as one variant. accuracy, lower, upper: None while no label is joined."""

    version: str
    variant: str
    predictions: int
    labelled: int
    accuracy: float | None
    lower: float | None
    upper: float | None


def until(
    ask: Callable[[], T], enough: Callable[[T], bool], *, within_s: float = _PATIENCE_S, every_s: float = _EVERY_S
) -> T:
    """Ask again and again; return the answer that is enough, or the last one when patience ends."""
    deadline = time.monotonic() + within_s
    while True:
        found = ask()
        if enough(found) or time.monotonic() >= deadline:
            return found
        time.sleep(every_s)


def send_labels(client: Client, answers: Sequence[Answer], began: datetime) -> str:
    """Tell the label of each image that was asked for; return what became of them, in words."""
    told = client.outcomes.record(
        MODEL,
        [Outcome(answer.label, prediction_id=answer.prediction_id, observed_at=began) for answer in answers],
    )
    return ", ".join(f"{count} {what}" for what, count in sorted(told.counts.items()))


def performance(client: Client, began: datetime, wanted: int) -> list[Known]:
    """Return how good each version was since then, once so many labels are joined or patience ends."""

    def ask() -> list[Known]:
        found = client.monitor.performance(MODEL, start=began)
        return [_known(one) for one in sorted(found, key=lambda one: (one.version, one.variant))]

    return until(ask, lambda known: sum(one.labelled for one in known) >= wanted)


def _known(of: monitor_pb2.Performance) -> Known:
    accuracy = next((one for one in of.measures if one.name == "accuracy"), monitor_pb2.Performance.Measure())
    value, lower, upper = (
        getattr(accuracy, name) if accuracy.HasField(name) else None for name in ("value", "lower", "upper")
    )
    return Known(of.version, of.variant, of.predictions, of.labelled, value, lower, upper)
