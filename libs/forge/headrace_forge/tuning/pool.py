"""The real pool of a version: settings put into force there, and what it answers by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from headrace.registry.v1 import registry_pb2
from headrace_client.cli.settings import await_settings
from headrace_client.client import AsyncClient, Client
from headrace_client.errors import DeadlineExceeded
from headrace_client.operations.registration import Serving, serving_settings
from headrace_scaling.simulation.service_curves import ServiceCurve

from headrace_forge.tuning import measurements, search
from headrace_forge.tuning.measurements import Caller
from headrace_forge.tuning.search import Grid, Run, Settings

_IN_FORCE_S = 120.0
# Beyond what the model thinks can be answered: goodput under too much is what is looked for.
_MORE = 1.5


class MeasuredPool:
    """A version on its pool; each measurement has an event loop and a client of its own. rows: to ask for, by input."""

    def __init__(self, client: Client, model: str, version: str, rows: Mapping[str, np.ndarray]) -> None:
        self._client, self._model, self._version, self._rows = client, model, version, rows

    def put(self, settings: registry_pb2.ServingSettings, why: str) -> None:
        """Put settings into force. Raises DeadlineExceeded where no batcher takes them."""
        done = self._client.versions.update_serving(self._model, self._version, settings, reason=why).version
        taken, serving = await_settings(self._client, self._model, self._version, done.serving_revision, _IN_FORCE_S)
        if not serving or not taken:
            told = next((held.reason for _, held in serving if held.reason), "no batcher serves it")
            raise DeadlineExceeded(
                f"settings {done.serving_revision} of {self._model} {self._version} are not in force: {told}"
            )

    def curve(self, grid: Grid) -> ServiceCurve:
        """Return how long executions take by their rows."""
        self.put(as_proto(Settings(max(grid.max_batch_rows), 0.0, 1)), "tune: service times")
        return self._with(lambda caller: measurements.service_curve(caller, grid.max_batch_rows))

    def run(
        self,
        settings: Settings,
        per_s: float,
        seconds: float,
        objective_s: float,
        whole: registry_pb2.ServingSettings | None = None,
    ) -> Run:
        """Put settings into force, and return what is answered by them. whole: what these are called settings of."""
        self.put(whole or as_proto(settings), "tune: a run")
        seen = self._with(
            lambda caller: measurements.open_loop(caller, per_s=per_s, seconds=seconds, objective_s=objective_s)
        )
        return Run(settings, seen.goodput_per_s, seen.p99_ms, seen.sent_per_s)

    def _with(self, what: Callable[[Caller], Any]) -> Any:
        async def go() -> Any:
            async with AsyncClient.like(self._client) as client:
                return await what(Caller(client, self._model, self._version, self._rows))

        return asyncio.run(go())


def rate(curve: ServiceCurve, grid: Grid, objective_s: float, most: float) -> float:
    """Return the requests/s of every run: more than the model thinks can be answered."""
    _, per_s = search.model(curve, grid, objective_s)
    return min(most, max(20.0, _MORE * per_s * max(grid.instances)))


def of_proto(serving: registry_pb2.ServingSettings) -> Settings:
    """Return what is tuned of a version's settings."""
    wait_ms = serving.max_wait.ToTimedelta() / timedelta(milliseconds=1)
    return Settings(serving.max_batch_rows, wait_ms, serving.instances)


def as_proto(settings: Settings) -> registry_pb2.ServingSettings:
    """Return settings as a version has them."""
    wait = timedelta(milliseconds=settings.max_wait_ms)
    return serving_settings(
        Serving(settings.max_batch_rows, settings.preferred_batch_rows, wait, settings.instances, None)
    )
