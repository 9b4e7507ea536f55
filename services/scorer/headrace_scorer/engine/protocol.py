"""What every process of the engine does at its start and says at its end."""

from __future__ import annotations

import os
import sys

from headrace_servicekit.confinement import end_with_parent

from headrace_scorer.engine.messages import RunAnswer, to_json


class Failed(Exception):
    """The job fails. failure: a code. transient: whether a retry may succeed."""

    def __init__(self, failure: str, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.failure, self.reason, self.transient = failure, reason, transient


def begin() -> None:
    """End with the scorer, however that dies, and step back behind those who answer predictions."""
    end_with_parent()
    if os.getppid() != int(os.environ["SCORER_PID"]):
        sys.exit(1)  # it has died already
    os.nice(10)


def say(answer: object) -> None:
    """Send a line."""
    sys.stdout.buffer.write(to_json(answer))
    sys.stdout.buffer.flush()


def of(error: Failed) -> RunAnswer:
    """Return an end as a run says it."""
    return RunAnswer(failure=error.failure, reason=error.reason, transient=error.transient)
