"""Are the images still those that the versions were trained on? What the monitor finds by itself, and its alert."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_client import Client

from examples.digits.register import MODEL
from examples.digits.traffic import send
from examples.digits.train import Images
from examples.digits.watching import until

RULE = "digits-drift"
NOISE = 4.0
"""Standard deviation of what is added to pixels of 0 to 16."""
# `make up` has windows of seconds (docs/decisions/0184); an hour is too long to wait for.
_OFTEN = timedelta(minutes=1)
# A window, the time that its rows are given to arrive, and a busy machine.
_PATIENCE_S = 90.0
_AGAIN_S = 3.0
_RECENT = timedelta(minutes=1)
_MOMENT = timedelta(milliseconds=1)
_SEED = 7


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A look at the pixels of a time of a version. alarms: the worst first, as column, test and size of the change."""

    rows: int
    start: datetime
    end: datetime
    alarms: tuple[tuple[str, str, float], ...]

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Asked:
    """When a version was asked about images. rows: what its windows then have at least."""

    began: datetime
    ended: datetime
    rows: int


def put_rule(client: Client, version: str) -> None:
    """Have an alert raised when what a version is asked drifts, from now on, from what it was trained on.

    Returns once the monitor has looked at what an earlier demo sent, if that is soon: it would be held against this
    one. Raises PreconditionFailed for a version without a reference, such as one that an older demo registered.
    """
    # By itself the monitor does it when a version is first asked, and looks at windows that end later.
    client.monitor.freeze_reference(MODEL, version)
    if looks_often(client, version):
        until(lambda: _rows_not_looked_at(client, version), lambda rows: rows <= 0, within_s=_PATIENCE_S)
    client.alerts.delete_rule(RULE)  # the alert of an earlier demo ends with it
    client.alerts.put_rule(
        alert_pb2.AlertRule(
            name=f"alertRules/{RULE}", model=MODEL, signal="drift", at_least=monitor_pb2.SEVERITY_MEDIUM
        )
    )


def looks_often(client: Client, version: str) -> bool:
    """Return whether the monitor looks so often that a story can wait for it."""
    now = datetime.now(UTC)
    return look(client, version, now - _MOMENT, now).length <= _OFTEN


def looks_by_itself(client: Client, version: str, asked: Asked) -> list[Evaluation]:
    """Return what the monitor found by itself in what was asked since, the latest window first, once it has looked at
    all that was asked or patience ends.
    """

    def ask() -> list[Evaluation]:
        looks = [_look(drift) for drift in client.monitor.list_drifts(MODEL, version)]
        return [one for one in looks if one.end > asked.began]

    return until(ask, lambda looks: bool(looks) and looks[0].end >= asked.ended, within_s=_PATIENCE_S)


def look(client: Client, version: str, began: datetime, ended: datetime) -> Evaluation:
    """Look now at the least time of whole windows that holds a time."""
    return _look(client.monitor.drift(MODEL, version, start=began, end=ended))


def rows_before(client: Client, version: str) -> int:
    """Return how many rows the window of this moment has already."""
    now = datetime.now(UTC)
    return look(client, version, now - _MOMENT, now).rows


def look_now(client: Client, version: str, asked: Asked) -> Evaluation:
    """Look at the windows of what was asked, and whatever else was since, once all of it is there or patience ends."""
    return until(lambda: look(client, version, asked.began, datetime.now(UTC)), lambda found: found.rows >= asked.rows)


def words(looks: Sequence[Evaluation]) -> str:
    """Return what looks found, in words."""
    rows, pixels = sum(one.rows for one in looks), {column for one in looks for column, *_ in one.alarms}
    found = f"drift of {len(pixels)} pixels" if pixels else "no drift"
    return f"{found} in {rows} rows, {len(looks)} look{'s' if len(looks) != 1 else ''}"


def open_alerts(client: Client) -> list[alert_pb2.Alert]:
    """Return the alerts that the demo's rule has raised and that are not over."""
    found = client.alerts.list(model=MODEL, state=alert_pb2.Alert.STATE_OPEN)
    return [alert for alert in found if alert.rule.removeprefix("alertRules/") == RULE]


def with_noise(images: Images) -> Images:
    """Return the images with noise on every pixel."""
    noise = np.random.default_rng(_SEED).normal(0, NOISE, images.pixels.shape)
    return Images(np.clip(np.round(images.pixels + noise), 0, 16).astype(np.float32), images.labels)


def rounds_beside(clean: Evaluation, images: int) -> int:
    """Return how often so many images are asked about to be about as many as the rows that a window has."""
    return max(1, round(clean.rows / images))


def send_beside(client: Client, images: Images, clean: Evaluation) -> Asked:
    """Ask about images in the window of others, about as many as those; return what it has then."""
    repeat = rounds_beside(clean, len(images.labels))
    asyncio.run(send(client.address.url, images, repeat=repeat))
    return Asked(clean.start, datetime.now(UTC), clean.rows + repeat * len(images.labels))


def send_until_alert(client: Client, images: Images) -> list[alert_pb2.Alert]:
    """Ask about images again and again until the demo's rule raises an alert, or patience ends; return the alerts."""

    def ask() -> list[alert_pb2.Alert]:
        asyncio.run(send(client.address.url, images, repeat=1))
        return open_alerts(client)

    return until(ask, bool, within_s=_PATIENCE_S, every_s=_AGAIN_S)


def _rows_not_looked_at(client: Client, version: str) -> int:
    """Return how many rows of the last minute the monitor has not looked at by itself."""
    now = datetime.now(UTC)
    recent = look(client, version, now - _RECENT, now)
    looks = [_look(drift) for drift in client.monitor.list_drifts(MODEL, version)]
    return recent.rows - sum(one.rows for one in looks if one.start >= recent.start and one.end <= recent.end)


def _look(drift: monitor_pb2.Drift) -> Evaluation:
    alarms = sorted(
        (report for report in drift.reports if report.alarm), key=lambda one: (-one.severity, -abs(one.effect))
    )
    start, end = (told.ToDatetime(tzinfo=UTC) for told in (drift.range.start_time, drift.range.end_time))
    return Evaluation(drift.rows, start, end, tuple((one.column, one.test, abs(one.effect)) for one in alarms))
