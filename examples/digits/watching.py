"""What the monitor says of the digits: how good each version was once labels came back, and that noise is a drift."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
from headrace.monitor.v1 import monitor_pb2
from headrace_client import Client, Outcome, PreconditionFailed

from examples.digits.register import MODEL
from examples.digits.traffic import Answer, send
from examples.digits.train import Images

NOISE = 4.0
"""Standard deviation of what is added to pixels of 0 to 16."""
# From the answer into the log, and from there into windows; on a busy machine it takes a while.
_PATIENCE_S = 60.0
_ASK_EVERY_S = 0.5
_MOMENT = timedelta(seconds=1)
# `make up` has windows of 15 s; elsewhere they are too long to wait for.
_LONGEST_WINDOW_S = 20.0
_SEED = 7

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


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a version's pixels. alarms: the worst first, as column, test and size of the change."""

    rows: int
    end: datetime
    alarms: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """When and how often each image is sent with noise. rows: how many its window holds then. alone: no others."""

    wait_s: float
    repeat: int
    rows: int
    alone: bool


def send_labels(client: Client, answers: Sequence[Answer], began: datetime) -> str:
    """Tell the label of each image that was asked for; return what became of them, in words."""
    told = client.record_outcomes(
        MODEL,
        [Outcome(answer.label, prediction_id=answer.prediction_id, observed_at=began) for answer in answers],
    )
    return ", ".join(f"{count} {what}" for what, count in sorted(told.counts.items()))


def performance(client: Client, began: datetime, wanted: int) -> list[Known]:
    """Return how good each version was since then, once so many labels are joined or patience ends."""

    def ask() -> list[Known]:
        found = client.performance(MODEL, start=began)
        return [_known(one) for one in sorted(found, key=lambda one: (one.version, one.variant))]

    return _until(ask, lambda known: sum(one.labelled for one in known) >= wanted)


def look(client: Client, version: str, began: datetime, ended: datetime, wanted: int) -> Look:
    """Return what a look at that time finds, once so many rows are there or patience ends.

    Raises PreconditionFailed for a version without a reference, such as one that an older demo registered.
    """

    def ask() -> Look | None:
        try:
            return _look(client.drift(MODEL, version, start=began, end=ended))
        except PreconditionFailed as error:
            if error.reason != "REFERENCE_NOT_FOUND":
                raise
            return None

    found = _until(ask, lambda seen: seen is not None and seen.rows >= wanted)
    return found or _look(client.drift(MODEL, version, start=began, end=ended))


def await_clean_window(client: Client, version: str) -> None:
    """Return once the window that holds the noise of an earlier demo is over, if that is soon: looks are at windows."""
    now = datetime.now(UTC)
    try:
        window = _look(client.drift(MODEL, version, start=now, end=now + _MOMENT))
    except PreconditionFailed:  # no reference yet, so there was no earlier demo
        return
    wait_s = (window.end - now).total_seconds()
    if window.rows and wait_s <= _LONGEST_WINDOW_S:
        time.sleep(wait_s)


def words(look: Look) -> str:
    """Return what a look found, in words."""
    columns = len({column for column, *_ in look.alarms})
    return f"no drift in {look.rows} rows" if not columns else f"drift: {columns} pixels in {look.rows} rows"


def plan_noise(clean: Look, images: int, now: datetime) -> Noise:
    """Return when noise has a window to itself; where that is too far away, how much of it shows beside the others."""
    wait_s = max(0.0, (clean.end - now).total_seconds())
    if wait_s <= _LONGEST_WINDOW_S:
        return Noise(wait_s, 1, images, alone=True)
    repeat = max(1, round(clean.rows / images))
    return Noise(0.0, repeat, clean.rows + repeat * images, alone=False)


def send_noise(client: Client, images: Images, noise: Noise) -> tuple[datetime, datetime]:
    """Send the images with noise as planned; return when the first and the last were sent."""
    time.sleep(noise.wait_s)
    added = np.random.default_rng(_SEED).normal(0, NOISE, images.pixels.shape)
    pixels = np.clip(np.round(images.pixels + added), 0, 16).astype(np.float32)
    began = datetime.now(UTC)
    asyncio.run(send(client.address.url, Images(pixels, images.labels), repeat=noise.repeat))
    return began, datetime.now(UTC) + _MOMENT


def _known(of: monitor_pb2.Performance) -> Known:
    accuracy = next((one for one in of.measures if one.name == "accuracy"), monitor_pb2.Performance.Measure())
    value, lower, upper = (
        getattr(accuracy, name) if accuracy.HasField(name) else None for name in ("value", "lower", "upper")
    )
    return Known(of.version, of.variant, of.predictions, of.labelled, value, lower, upper)


def _look(drift: monitor_pb2.Drift) -> Look:
    alarms = sorted(
        (report for report in drift.reports if report.alarm), key=lambda one: (-one.severity, -abs(one.effect))
    )
    end = drift.range.end_time.ToDatetime(tzinfo=UTC)
    return Look(drift.rows, end, tuple((one.column, one.test, abs(one.effect)) for one in alarms))


def _until(ask: Callable[[], T], enough: Callable[[T], bool]) -> T:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        found = ask()
        if enough(found) or time.monotonic() >= deadline:
            return found
        time.sleep(_ASK_EVERY_S)
