"""The judge: what the monitor tells of a rollout, and what follows from it."""

from __future__ import annotations

from headrace_rollout.alerts import FreezeAlerts
from headrace_rollout.decisions.rollouts import Rollout
from headrace_rollout.runner import Judged


class Judge:
    """Judges rollouts on what the monitor tells."""

    def __init__(self, alerts: FreezeAlerts) -> None:
        self._alerts = alerts

    async def judge(self, rollout: Rollout) -> Judged:
        """Take in what was answered since."""
        return Judged(rollout.evidence, None)

    def alerts(self, model: str) -> tuple[str, ...]:
        """Return what asks for a freeze of a model's rollouts."""
        return self._alerts.of(model)
