"""Times that the control plane obeys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from headrace_router.control.decisions.states import Limits
from headrace_router.control.settings import ControlSettings


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things count.

    limits: of changes. lease: of a batcher's report. revert: how long the version that left production stays loaded.
    forget_after: how long an unseen data plane counts. acknowledge_wait: how long a write waits for connected ones.
    """

    limits: Limits = field(default_factory=Limits)
    lease: timedelta = timedelta(seconds=5)
    revert: timedelta = timedelta(hours=24)
    forget_after: timedelta = timedelta(minutes=10)
    acknowledge_wait: timedelta = timedelta(seconds=5)

    @classmethod
    def of(cls, settings: ControlSettings) -> Timing:
        """Return the times that the settings state."""
        return cls(
            limits=Limits(timedelta(seconds=settings.ready_grace_s), timedelta(seconds=settings.ready_timeout_s)),
            lease=timedelta(seconds=settings.lease_s),
            revert=timedelta(seconds=settings.revert_window_s),
            forget_after=timedelta(seconds=settings.forget_after_s),
            acknowledge_wait=timedelta(seconds=settings.acknowledge_wait_s),
        )
