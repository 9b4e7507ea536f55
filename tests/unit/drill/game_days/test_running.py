"""A game day sets its faults one after the other, and whatever happens they are cleared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from headrace_client.errors import Unavailable
from headrace_client.operations.prediction import Prediction, ServedFrom
from headrace_drill.game_days import game
from headrace_drill.game_days.game import GameDay, fault_of, run
from headrace_drill.game_days.traffic import Callers
from headrace_drill.game_days.verdicts import METRIC, WELL, Bounds, Fault
from headrace_servicekit.testing import eventually

ROWS = {"x": np.arange(8, dtype=np.float32).reshape(4, 2)}


class Backend:
    """Simulators, and the route behind them, in one: what is set decides what callers are answered."""

    def __init__(self, *, falls_back: bool = True, recovers: bool = True, passes_wrong: bool = False) -> None:
        self.falls_back, self.recovers, self.passes_wrong = falls_back, recovers, passes_wrong
        self.fault: Mapping[str, Any] | None = None
        self.log: list[str] = []
        self.clear_fails = False
        self._hits = 0
        self._broken = False

    async def put(self, name: str, fault: Mapping[str, Any]) -> None:
        self.log.append(f"put {name}")
        self.fault, self._hits = fault, 0

    async def hits(self, name: str) -> int:
        return self._hits

    async def clear(self, name: str) -> None:
        self.log.append(f"clear {name}")
        self._broken = self._broken or (self.fault is not None and not self.recovers)
        self.fault = None
        if self.clear_fails:
            raise Unavailable("nobody there")

    async def predict(self, model: str, inputs: Mapping[str, np.ndarray], **how: Any) -> Prediction:
        assert how["max_age"].total_seconds() == 0
        right = {"y": inputs["x"].sum(axis=1)}
        if self.fault is None and not self._broken:
            return answer("v2", right)
        self._hits += 1
        if self.passes_wrong:
            return answer("v2", {"y": right["y"] + 1})
        if not self.falls_back:
            raise Unavailable("down", reason="NO_BACKEND")
        return answer("v1", {"y": right["y"] * 0}, step="old")


def answer(version: str, outputs: dict[str, np.ndarray], step: str = "") -> Prediction:
    return Prediction(
        outputs=outputs,
        model="digits",
        version=version,
        variant="v2",
        served_from=ServedFrom.FALLBACK if step else ServedFrom.ONLINE,
        prediction_id="p",
        request_id="r",
        generation=1,
        age=timedelta(0),
        rule="",
        fallback_step=step,
        degraded_reason="NO_BACKEND" if step else "",
    )


def day(*faults: Fault, recover_s: float = 5.0) -> GameDay:
    return GameDay("v2", faults or tuple(Fault), 0.05, "*", Bounds(0.01, recover_s), well_s=0.05)


def callers(backend: Any) -> Callers:
    return Callers(backend, "digits", ROWS, {"game_day": "v2"}, "", "", per_s=200, deadline_s=1.0)


async def play(backend: Any, one: GameDay) -> list[game.PhaseResult]:
    return await run(one, callers(backend), backend)


async def test_each_fault_is_set_and_cleared_in_its_turn():
    backend = Backend()
    phases = await play(backend, day(Fault.DEAD, Fault.SLOW, Fault.WRONG))
    assert [phase.name for phase in phases] == [WELL, "dead", "slow", "wrong"]
    assert all(phase.passed for phase in phases), [phase.problems for phase in phases]
    names = ["game-day-dead", "game-day-slow", "game-day-wrong"]
    assert backend.log == [f"{what} {name}" for name in names for what in ("put", "clear")]


async def test_a_route_without_a_fallback_does_not_hold():
    phases = await play(Backend(falls_back=False), day(Fault.DEAD))
    assert any("got no answer (NO_BACKEND" in problem for problem in phases[1].problems)


async def test_wrong_answers_that_are_passed_on_are_counted():
    phases = await play(Backend(passes_wrong=True), day(Fault.WRONG))
    assert phases[1].wrong == phases[1].requests > 0


async def test_after_a_fault_from_which_the_version_does_not_recover_there_is_no_other():
    backend = Backend(recovers=False)
    phases = await play(backend, day(Fault.DEAD, Fault.SLOW, recover_s=0.3))
    assert [phase.name for phase in phases] == [WELL, "dead"]
    assert phases[1].recovered_s is None
    assert backend.fault is None


async def test_where_all_is_not_well_no_fault_is_set():
    backend = Backend()
    backend._broken = True
    (only,) = await play(backend, day())
    assert not only.passed
    assert backend.log == []


async def test_a_game_day_that_is_interrupted_clears_its_fault():
    backend = Backend()
    going = asyncio.create_task(play(backend, GameDay("v2", (Fault.DEAD,), 60, "*", Bounds(0.01, 5), well_s=0.05)))
    await eventually(lambda: backend.fault is not None)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert backend.log[-1] == "clear game-day-dead"


async def test_a_fault_that_cannot_be_cleared_is_told():
    backend = Backend()
    backend.clear_fails = True
    with pytest.raises(Unavailable, match="nobody there"):
        await play(backend, day(Fault.DEAD))


@pytest.mark.parametrize("kind", list(Fault))
def test_every_fault_ends_by_itself(kind: Fault):
    made = fault_of(kind, GameDay("v2", (kind,), 8, "digits--v2", Bounds(0.01, 5)), deadline_s=1.0)
    assert 8 < made["for_s"] <= 30
    assert made["model"] == "digits--v2"


def test_a_slow_backend_is_slower_than_callers_wait():
    assert fault_of(Fault.SLOW, day(), deadline_s=0.5)["base_ms"] == 1000


def test_the_metric_is_that_of_the_remedy():
    assert METRIC == "game_day"
