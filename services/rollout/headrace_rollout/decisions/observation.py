"""The inputs of a rollout decision, besides the rollout's state and the time."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.rollouts import Verdict


@dataclass(frozen=True, slots=True)
class Consent:
    """The approvers' decision whether a rollout continues. refusal: their reason; empty if they agree."""

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The monitor's view of a model. alerts: open alerts that freeze rollouts. drift: the drift alerts among them.
    experiment: name of the running experiment; empty for none. known: False before the monitor's first answer.
    """

    alerts: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    experiment: str = ""
    known: bool = True

    @property
    def other_alerts(self) -> tuple[str, ...]:
        """The alerts other than drift."""
        return tuple(one for one in self.alerts if one not in self.drift)


@dataclass(frozen=True, slots=True)
class Observation:
    """The observed state of a rollout at a stage.

    managed_by: manager of its route. named: version that the variant's stage or alias names in the registry; None while
    the registry is away. verdict: None before a judgement. room: head-room of the pool for a larger share; None if
    unknown or not needed. consent: the approvers' decision; None while it is pending or not required.
    """

    managed_by: str
    named: str | None = None
    around: Surroundings = Surroundings()
    verdict: Verdict | None = None
    room: Room | None = None
    consent: Consent | None = None
