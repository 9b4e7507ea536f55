"""A version that is not in memory: who has the time waits until it is, and the first who asks has it loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from headrace_batcher.decisions.answers import MODEL_LOADING, Failure
from headrace_batcher.decisions.work import Work

# Nobody is told to come back sooner.
LEAST_RETRY_S = 0.1


class Sleep:
    """One time that a version is not in memory.

    load_s: how long loading it takes, about. wake: called when somebody asks for it first. asked: whether somebody has.
    """

    __slots__ = ("_load_s", "_wake", "asked", "refusal")

    def __init__(self, load_s: float, wake: Callable[[], None]) -> None:
        self._load_s, self._wake = load_s, wake
        self.asked = False
        self.refusal: Failure = dataclasses.replace(MODEL_LOADING, retry_after_s=max(LEAST_RETRY_S, load_s))

    def may_wait(self, work: Work) -> bool:
        """Note that somebody asks for the version; return whether they have the time that loading it takes."""
        if not self.asked:
            self.asked = True
            self._wake()
        return work.deadline - work.arrived >= self._load_s
