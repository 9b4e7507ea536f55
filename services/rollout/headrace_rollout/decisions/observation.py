"""What a decision about a rollout is made from, besides its state and the time."""

from __future__ import annotations

from dataclasses import dataclass

from headrace_rollout.decisions.headroom import Room
from headrace_rollout.decisions.rollouts import Verdict


@dataclass(frozen=True, slots=True)
class Consent:
    """What those said whom a rollout asks whether it goes on. refusal: why not; empty when they agree."""

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the monitor knows of a model. alerts: open ones that ask for a freeze. drift: those of them that are of a
    drift. experiment: that runs on the model; empty for none. known: whether this is what the monitor said; not before
    its first answer.
    """

    alerts: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    experiment: str = ""
    known: bool = True

    @property
    def other_alerts(self) -> tuple[str, ...]:
        """The alerts that are of no drift."""
        return tuple(one for one in self.alerts if one not in self.drift)


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a rollout at a stage. managed_by: of its route. named: the version that the registry has where
    the variant looks, None while it is away. verdict: None while nothing is judged. room: what the pool has for a
    larger share; None while that is not known, or nobody asks for one. consent: of those whom a rollout asks; None
    while there is none, and where nobody is asked.
    """

    managed_by: str
    named: str | None = None
    around: Surroundings = Surroundings()
    verdict: Verdict | None = None
    room: Room | None = None
    consent: Consent | None = None
