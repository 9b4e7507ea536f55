"""How a promotion gets on, as lines that appear when a stage is reached and as what a script reads afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from headrace.router.v1 import route_pb2

from headrace_client.cli.output import Output, shown
from headrace_client.cli.views import pool_state
from headrace_client.operations.readiness import Progress, progress_of

_WORDS = {
    Progress.ANNOUNCED: "announced",
    Progress.LOADING: "loading",
    Progress.READY: "ready",
    Progress.ACTIVATED: "activated",
    Progress.ACKNOWLEDGED: "acknowledged",
}


class ProgressLines:
    """Receives statuses and prints each stage once, with the seconds since the start.

    describe: text for the present state between two stages. stages: those reached, for `--json`.
    """

    def __init__(
        self,
        output: Output,
        epoch: int,
        describe: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output, self._epoch, self._describe, self._clock = output, epoch, describe, clock
        self._begun = clock()
        self._reached: Progress | None = None
        self.stages: list[dict[str, Any]] = []

    @property
    def waited_s(self) -> float:
        """Return the seconds since it began."""
        return self._clock() - self._begun

    def take(self, status: route_pb2.RouteStatus) -> None:
        """Print the stages that a status has reached beyond those before it."""
        stage = progress_of(status, self._epoch)
        if self._reached is None or stage > self._reached:
            # What went by too fast to be seen has happened all the same, loading and announcing apart.
            passed = [one for one in (Progress.READY, Progress.ACTIVATED) if (self._reached or 0) < one < stage]
            for one in (*passed, stage):
                self._line(one, status)
            self._reached = stage
        self._describe(f"{_WORDS[stage]}: {shown(text_of(stage, status))}")

    def end(self, status: route_pb2.RouteStatus) -> None:
        """Print what the wait ended with: also data planes that have not acknowledged."""
        self.take(status)
        late = status.unacknowledged_data_planes
        if late:
            self._line(Progress.ACKNOWLEDGED, status)

    def _line(self, stage: Progress, status: route_pb2.RouteStatus) -> None:
        text, after_s = text_of(stage, status), round(self.waited_s, 3)
        self.stages.append({"stage": _WORDS[stage], "text": text, "after_s": after_s})
        self._output.say(f"  {_WORDS[stage]:<13} {shown(text)} [dim]({after_s:.2f} s)[/]")


def text_of(stage: Progress, status: route_pb2.RouteStatus) -> str:
    """Return what there is to say of a stage."""
    match stage:
        case Progress.ANNOUNCED:
            return "the router has not heard of it yet"
        case Progress.LOADING | Progress.READY:
            return ", ".join(pool_state(one) for one in status.versions) or status.reason
        case Progress.ACTIVATED:
            return f"generation {status.generation}"
        case Progress.ACKNOWLEDGED:
            planes = status.data_planes
            return f"{sum(plane.acknowledged for plane in planes)}/{len(planes)} data planes"
