"""Loading as the batcher does it, in a time that the test advances: the real rule, and versions that are only figures.

A version is how long it takes to load, `math.inf` for never, and what its loading does to the backend.
"""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

from headrace_batcher.decisions.lifecycle import next_step
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.turns import USUAL, LoadBounds
from headrace_batcher.decisions.version_state import End, Need, Phase, Wanted
from headrace_batcher.loading.held import Held
from headrace_runtime.contract import Contract

NEVER = math.inf
_nobody: Any = None
_idle: Any = SimpleNamespace(rows=0, asked=False, last_answer=-math.inf)


class Loading:
    """A pool that holds what it is told to. now: in seconds. ready_at: when each version became ready last."""

    def __init__(self, bounds: LoadBounds = USUAL) -> None:
        self.bounds = bounds
        self.now = 0.0
        self.held: dict[str, Held] = {}
        self.takes_s: dict[str, float] = {}
        self.ready_at: dict[str, float] = {}
        self.spent_s: dict[str, float] = {}
        self._ranks = itertools.count()

    def want(self, name: str, takes_s: float, need: Need = Need.PENDING, change: str = "") -> None:
        """Want a version, for the first time or anew."""
        self.takes_s.setdefault(name, takes_s)
        self.spent_s.setdefault(name, 0.0)
        wanted = Wanted(name, "v", name, "", Contract((), ()), Limits(), need=need, change=change)
        if name not in self.held:
            self.held[name] = Held(wanted, _idle, _nobody, 0, _nobody, _nobody, math.inf, wanted_since=self.now)
        self.held[name].want(wanted, next(self._ranks), self.now)

    def unwant(self, name: str) -> None:
        """Want a version no more."""
        self.held[name].rank, self.held[name].unwanted_since = None, self.now

    def loading(self) -> set[str]:
        """Return what is being loaded now."""
        return {name for name, held in self.held.items() if held.phase is Phase.LOADING}

    def ready(self) -> set[str]:
        """Return what is loaded."""
        return {name for name, held in self.held.items() if held.phase is Phase.READY}

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds
        while True:
            next_at = min(self._begin(), self._next_end(), until)
            assert next_at >= self.now
            self.now = next_at
            self._finish()
            if self.now >= until:
                self._begin()
                return

    def _begin(self) -> float:
        while True:
            step = next_step(
                [held.state() for held in self.held.values()],
                backend_up=True,
                unload_after_s=30.0,
                now=self.now,
                bounds=self.bounds,
            )
            for name in step.drop:
                del self.held[name]
            for name, why in step.end:
                self._ended(self.held[name], why)
            if step.load is not None:
                held = self.held[step.load]
                held.phase = Phase.LOADING
                held.begin(_nobody, self.now)
                held.opening_since = self.now
            elif not step.drop and not step.end:
                # Attempts that were at their end in the very instant are looked at a moment later.
                return max(step.until, self.now + 1e-6)

    def _next_end(self) -> float:
        return min((self.held[one].opening_since + self.takes_s[one] for one in self.loading()), default=math.inf)

    def _finish(self) -> None:
        for name in self.loading():
            held = self.held[name]
            if held.opening_since + self.takes_s[name] <= self.now:
                self.spent_s[name] += held.stop(self.now)
                held.count_success()
                held.phase = Phase.READY
                self.ready_at[name] = self.now

    def _ended(self, held: Held, why: End) -> None:
        attempt_s = held.stop(self.now)
        self.spent_s[held.wanted.digest] += attempt_s
        held.phase = Phase.WAITING
        if why is End.OVERDUE:
            held.phase = Phase.FAILED
            held.count_failure(self.now, attempt_s=attempt_s, blamed=True)
