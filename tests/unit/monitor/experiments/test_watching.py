"""Running experiments are looked at while nobody asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace_monitor.judge.experiments.analyst import ExperimentWatch
from headrace_servicekit.errors import DeadlineExceeded, Unavailable


class Surroundings:
    """A store with experiments whose turn it is, and what analyses them. away: whether the database is."""

    def __init__(self, *due: str, away: bool = False, slow: str = "") -> None:
        self._due, self._away, self._slow = list(due), away, slow
        self.analysed: list[str] = []

    async def claim_due(self, every: timedelta) -> tuple[str, str] | None:
        if self._away:
            raise Unavailable("no database")
        return ("shop", self._due.pop(0)) if self._due else None

    async def analyse(self, model: str, id_: str) -> None:
        self.analysed.append(id_)
        if id_ == self._slow:
            raise DeadlineExceeded("took too long")


async def looked(around: Surroundings) -> list[str]:
    lent: Any = around
    await ExperimentWatch(lent, lent, timedelta(minutes=5)).step()
    return around.analysed


async def test_each_experiment_that_is_due_is_analysed_and_one_that_is_too_slow_keeps_no_other_waiting():
    assert await looked(Surroundings("a", "b", "c", slow="a")) == ["a", "b", "c"]


async def test_without_a_database_nothing_is_looked_at_and_nothing_is_raised():
    assert await looked(Surroundings("a", away=True)) == []
